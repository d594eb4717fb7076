"""The application behind every proxy: one nginx with fixed answers, on the load's core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import LOAD, free_port, running

#: Answers by path, in bytes.
SIZES = {"small": 100, "4k": 4096, "64k": 65536, "1m": 1 << 20}
#: Bytes of a large download and upload.
HUGE = 1 << 30
#: The modules of a page, as a dev server has them: how many of which size in bytes. ``/page/0``, ``/page/1`` …
PAGE = ((200, 2048), (80, 8192), (15, 61_440), (5, 307_200))

#: Of both nginx, the backend and the proxy: one worker, no log, room for every connection.
NGINX = """worker_processes 1; daemon off; pid {scratch}/{name}.pid; error_log stderr crit;
events {{ worker_connections 11000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; sendfile on; client_max_body_size 0;
client_body_temp_path {scratch}/{name}-1; proxy_temp_path {scratch}/{name}-2; fastcgi_temp_path {scratch}/{name}-3;
uwsgi_temp_path {scratch}/{name}-4; scgi_temp_path {scratch}/{name}-5;
{body} }}
"""
# An answer that is ready before the body was read would be another workload: it goes through nginx once more.
_SERVER = """upstream self {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096; root {scratch}/files; default_type application/octet-stream;
open_file_cache max=1000; open_file_cache_valid 1h;
location = /small {{ return 200 "{text}"; }}
location = /post {{ client_body_buffer_size 64k; proxy_pass http://self/small; proxy_method GET; proxy_http_version 1.1;
proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection ""; }} }}
"""


def page_sizes() -> list[int]:
    """Bytes of each of the page's modules."""
    return [size for number, size in PAGE for _ in range(number)]


@contextmanager
def backend(scratch: Path) -> Iterator[int]:
    """Run it; gives its port."""
    files = scratch / "files"
    (files / "page").mkdir(parents=True)
    for name, size in SIZES.items():
        (files / name).write_bytes(os.urandom(size))
    for number, size in enumerate(page_sizes()):
        (files / "page" / str(number)).write_bytes(os.urandom(size))
    with (files / "huge").open("wb") as huge:
        huge.truncate(HUGE)
    port = free_port()
    body = _SERVER.format(port=port, scratch=scratch, text="0123456789" * 10)
    config = scratch / "backend.conf"
    config.write_text(NGINX.format(scratch=scratch, name="backend", body=body))
    with running(["nginx", "-c", config], core=LOAD, log=scratch / "backend.log", port=port):
        yield port
