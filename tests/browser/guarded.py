"""An application for tests of access, for the standard library's Python: a page, its parts, and a WebSocket.

It says what it sees of each request, and remembers what was asked for.
"""

import base64
import hashlib
import http.server
import json
import struct

PAGE = b"""<!doctype html><title>guarded</title><link rel=stylesheet href=style.css>
<h1>guarded</h1><p id=socket>closed</p><p id=end></p><img id=image src=image.svg>
<script type=module src=app.js></script>"""
SCRIPT = b"""const socket = new WebSocket(new URL('ws', location.href).href.replace('http', 'ws'));
socket.onmessage = event => document.querySelector('#socket').textContent = event.data;
socket.onclose = event => document.querySelector('#end').textContent = 'ended ' + event.code;"""
IMAGE = b"<svg xmlns='http://www.w3.org/2000/svg' width='7' height='5'/>"
FILES = {
    "": ("text/html", PAGE),
    "app.js": ("text/javascript", SCRIPT),
    "style.css": ("text/css", b"h1 { color: rgb(1, 2, 3) }"),
    "image.svg": ("image/svg+xml", IMAGE),
}
SEEN = []


class Guarded(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.partition("?")[0].rpartition("/")[2]
        SEEN.append(f"{self.command} {self.path}")
        if "upgrade" in self.headers:
            self.speak()
        elif name == "who":
            self.answer("application/json", json.dumps(self.headers.items()).encode())
        elif name == "seen":
            self.answer("application/json", json.dumps(SEEN).encode())
        else:
            self.answer(*FILES.get(name, FILES[""]))

    do_POST = do_GET

    def answer(self, kind, body):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # The laxest application there is: the gateway alone keeps others out.
        self.send_header("Access-Control-Allow-Origin", self.headers.get("origin", "*"))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.end_headers()
        self.wfile.write(body)

    def speak(self):
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        text = b"hello"
        self.wfile.write(struct.pack("!BB", 0x81, len(text)) + text)
        while self.rfile.read(1):
            pass
        self.close_connection = True


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", 8000), Guarded).serve_forever()
