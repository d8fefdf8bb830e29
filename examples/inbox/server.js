"use strict";

const http = require("node:http");
const net = require("node:net");
const { Inbox } = require("./inbox");

const port = Number(process.env.PORT || 8000);
const drainSeconds = Number(process.env.CODESTORE_DRAIN || 10);
const LARGEST_BODY = 1024 * 1024; // bytes

const inbox = new Inbox({ keep: 100 });
const watchers = new Set();
let draining = false;

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function receive(request, response, name) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_BODY) return json(response, 413, { error: "larger than 1 MiB" });
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString("utf8");
  const hook = inbox.add(name, { contentType: request.headers["content-type"] || null, body });
  return json(response, 202, { id: hook.id });
}

// Server-sent events: every hook that comes in from now on.
function watch(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(": watching\n\n");
  const forget = inbox.watch((hook) => {
    response.write(`event: hook\nid: ${hook.id}\ndata: ${JSON.stringify(hook)}\n\n`);
  });
  watchers.add(response);
  response.on("close", () => {
    forget();
    watchers.delete(response);
  });
}

async function handle(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const [, room, name] = pathname.split("/");
  if (pathname === "/health") return json(response, 200, { status: "ok" });
  if (pathname === "/events") return watch(response);
  if (room === "hooks" && name && request.method === "POST") return receive(request, response, name);
  if (room === "hooks" && request.method === "GET") return json(response, 200, inbox.list(name));
  return json(response, 404, { error: "not found" });
}

const server = http.createServer((request, response) => {
  if (draining) response.setHeader("connection", "close");
  handle(request, response).catch((error) => {
    console.error(error);
    if (response.headersSent) response.destroy();
    else json(response, 500, { error: "internal error" });
  });
});

// Idle connections are the gateway's to close: closing one just as it is used loses a request.
server.keepAliveTimeout = 0;

server.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${port}`));

// Finish what is being answered, then leave. Not with server.close(), which closes idle connections.
process.once("SIGTERM", () => {
  draining = true;
  net.Server.prototype.close.call(server, () => process.exit(0));
  // An event stream never ends by itself; its reader connects again, to the next instance.
  for (const response of watchers) response.end();
  setTimeout(() => process.exit(0), drainSeconds * 1000);
});
