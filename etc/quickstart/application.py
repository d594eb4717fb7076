"""The web application of the tour. It runs inside a session, with that container's python3 and nothing else."""

import html
import http.server
import itertools
import pathlib
import platform
import socket
import sys

MESSAGE = pathlib.Path(__file__).with_name("message.txt")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page from a session</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; }}
  h1 {{ font-size: 2.2rem; line-height: 1.2; margin-bottom: .5rem; overflow-wrap: anywhere; }}
  dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; margin: 2rem 0; }}
  dt {{ opacity: .65; }} dd {{ margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }}
  p:last-child {{ opacity: .65; font-size: .9rem; }}
</style>
</head>
<body>
<h1>{message}</h1>
<p>This page is served by a small Python program inside a session's container, and comes to you through the sandbox.</p>
<dl>
  <dt>container</dt><dd>{host}</dd>
  <dt>python</dt><dd>{version}</dd>
  <dt>path seen</dt><dd>{path}</dd>
  <dt>visits</dt><dd>{visits}</dd>
</dl>
<p>The headline is the content of message.txt beside the program: write that file through the API, then reload.</p>
</body>
</html>
"""
VISITS = itertools.count(1)


class Application(http.server.BaseHTTPRequestHandler):
    """Every path shows the same page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the page as it is now."""
        page = PAGE.format(
            message=html.escape(MESSAGE.read_text(encoding="utf-8").strip()),
            host=html.escape(socket.gethostname()),
            version=platform.python_version(),
            path=html.escape(self.path),
            visits=next(VISITS),
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Application).serve_forever()  # noqa: S104
