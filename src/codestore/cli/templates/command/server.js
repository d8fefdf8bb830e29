"use strict";

const http = require("node:http");
const net = require("node:net");

const port = Number(process.env.PORT || 8000);
const drainSeconds = Number(process.env.CODESTORE_DRAIN || 10);
let draining = false;

function answer(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

const server = http.createServer((request, response) => {
  if (draining) response.setHeader("connection", "close");
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/") return answer(response, 200, { message: "Hello, World!" });
  if (pathname === "/health") return answer(response, 200, { status: "ok" });
  return answer(response, 404, { error: "not found" });
});

// Idle connections are the gateway's to close: closing one just as it is used loses a request.
server.keepAliveTimeout = 0;

server.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${port}`));

// Finish what is being answered, then leave. Not with server.close(), which closes idle connections.
process.once("SIGTERM", () => {
  draining = true;
  net.Server.prototype.close.call(server, () => process.exit(0));
  setTimeout(() => process.exit(0), drainSeconds * 1000);
});
