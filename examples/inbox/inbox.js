"use strict";

const { randomUUID } = require("node:crypto");
const { EventEmitter } = require("node:events");

/** The newest `keep` hooks in memory, newest first. */
class Inbox {
  constructor({ keep }) {
    this.keep = keep;
    this.hooks = [];
    this.events = new EventEmitter().setMaxListeners(0);
  }

  add(name, { contentType, body }) {
    const hook = { id: randomUUID(), name, at: new Date().toISOString(), contentType, body };
    this.hooks = [hook, ...this.hooks].slice(0, this.keep);
    this.events.emit("hook", hook);
    return hook;
  }

  /** Every hook, or those of one name. */
  list(name) {
    return name ? this.hooks.filter((hook) => hook.name === name) : this.hooks;
  }

  /** Call `listener` with every new hook; returns how to stop that. */
  watch(listener) {
    this.events.on("hook", listener);
    return () => this.events.off("hook", listener);
  }
}

module.exports = { Inbox };
