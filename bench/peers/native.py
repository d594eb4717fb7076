"""nginx and haproxy, from the distribution: one worker each, upstream connections kept, bodies streamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.backend import NGINX
from bench.peers import Peer, Place, Proxy
from bench.processes import MEASURED, free_port, running

_UPSTREAM = "upstream {name} {{ server 127.0.0.1:{target}; keepalive 64; keepalive_requests 1000000000; }}\n"
_LOCATION = """location /previews/{name}/ {{ proxy_pass http://{name}/; proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrading; proxy_max_temp_file_size 0;
proxy_request_buffering off; proxy_buffering {buffering}; proxy_read_timeout 1h; }}
"""
_HAPROXY = """global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  http-reuse always
frontend all
  bind 127.0.0.1:{port} backlog 8192
"""
_FRONTEND = "  use_backend {name} if {{ path_beg /previews/{name}/ }}\n"
_BACKEND = """backend {name}
  http-request replace-path /previews/{name}/(.*) /\\1
  server one 127.0.0.1:{target}
"""


@contextmanager
def _nginx(place: Place) -> Iterator[Proxy]:
    port = free_port()
    upstreams = "".join(_UPSTREAM.format(name=name, target=target) for name, target in place.routes.items())
    # Buffered events arrive late: who proxies them turns buffering off for them, and only for them.
    locations = "".join(
        _LOCATION.format(name=name, buffering="off" if name == "events" else "on") for name in place.routes
    )
    body = (
        'map $http_upgrade $upgrading { default upgrade; "" ""; }\n'
        f"{upstreams}server {{ listen 127.0.0.1:{port} backlog=8192;\n{locations}}}"
    )
    name = f"nginx-{port}"
    config = place.scratch / f"{name}.conf"
    config.write_text(NGINX.format(scratch=place.scratch, name=name, body=body))
    log = place.scratch / f"{name}.log"
    with running(["nginx", "-c", config], core=MEASURED, log=log, port=port) as pid:
        yield Proxy.single(pid, port, place)


@contextmanager
def _haproxy(place: Place) -> Iterator[Proxy]:
    port = free_port()
    config, log = place.scratch / f"haproxy-{port}.cfg", place.scratch / f"haproxy-{port}.log"
    frontends = "".join(_FRONTEND.format(name=name) for name in place.routes)
    backends = "".join(_BACKEND.format(name=name, target=target) for name, target in place.routes.items())
    config.write_text(_HAPROXY.format(port=port) + frontends + backends)
    with running(["haproxy", "-db", "-f", config], core=MEASURED, log=log, port=port) as pid:
        yield Proxy.single(pid, port, place)


NATIVE = (Peer("nginx", "nginx", _nginx), Peer("haproxy", "haproxy", _haproxy))
