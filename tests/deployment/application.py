"""A web application for a session: it tells what it was asked, takes uploads, streams, and echoes WebSockets."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
        elif self.path == "/stream":
            self.stream()
        elif self.path == "/seen":
            self.server.seen.set()
            self.answer("seen")
        else:
            self.answer({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}})

    def do_POST(self) -> None:
        length, digest, left = (
            int(self.headers["Content-Length"]),
            hashlib.sha256(),
            int(self.headers["Content-Length"]),
        )
        while left:
            block = self.rfile.read(min(left, 65536))
            digest.update(block)
            left -= len(block)
        self.answer({"length": length, "sha256": digest.hexdigest()})

    def answer(self, found: object) -> None:
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        """The second part comes when the client has said that it got the first, on another connection."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.wfile.flush()
        self.server.seen.wait(30)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def echo(self) -> None:
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept.digest()).decode())
        self.end_headers()
        self.close_connection = True
        while (head := self.rfile.read(2)) and len(head) == 2:
            length = head[1] & 127
            mask = self.rfile.read(4)
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([head[0], length]) + payload)
            if head[0] & 15 == 8:
                return

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("0.0.0.0", 3000), Handler)
server.seen = threading.Event()
server.serve_forever()
