"""A place in the world to send to, as a process of its own: `python -m tests.integration.sink`; prints its port.

POST /ok     is answered 200 with a receipt
POST /busy   is answered 503, POST /gone 410
POST /mute   is read and never answered
GET  /       the idempotency key and the path of everything that came, in order
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = {"/ok": 200, "/busy": 503, "/gone": 410}
received: list[tuple[str, str]] = []


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Sink(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        received.append((self.headers["Idempotency-Key"], self.path))
        if self.path == "/mute":
            threading.Event().wait()
        self._answer(ANSWERS[self.path], f"receipt {len(received)}")

    def do_GET(self) -> None:
        self._answer(200, json.dumps(received))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """What came is asked for by GET."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()
