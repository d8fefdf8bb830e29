"""A service that listens on $PORT: `port.py graceful|abrupt [FIFO]`, when the FIFO lets it."""

import os
import secrets
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(NAME)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *arguments):
        pass


NAME = secrets.token_hex().encode()  # its pid may be that of another one elsewhere
how, *fifo = sys.argv[1:]
if fifo:
    word = Path(fifo[0]).read_text()
    if word == "crash":
        sys.exit(3)
ThreadingHTTPServer.request_queue_size = (
    128  # of more, pasta of 2023 breaks some off: decision 0006
)
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
if how == "graceful":
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
