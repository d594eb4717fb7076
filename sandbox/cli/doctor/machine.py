"""Checks of versions, database, permissions, port and the daemon itself."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import psycopg2

from sandbox import __version__
from sandbox.cli.doctor.finding import Finding, Patient, failed, ok, warning
from sandbox.client import ApiError, Client, ClientError, Retries, errors
from sandbox.client.configuration import configuration_path
from sandbox.client.origin import parse_origin
from sandbox.settings.kinds import is_loopback

#: Minimum free disk space for the database in bytes.
_ROOM = 100 * 1024 * 1024
_TIMEOUT = 5


def check_versions(patient: Patient) -> Iterator[Finding]:
    """Report installed versions, and check that ``twistd`` is available."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("twisted", "docker"))
    yield ok("versions", f"sandbox {__version__}, Python {platform.python_version()}, {libraries}")
    beside = Path(sys.executable).with_name("twistd")
    if not beside.exists() and shutil.which("twistd") is None:
        fix = "Put the environment's bin directory on PATH, or install the project into it again"
        yield failed("versions", "there is no twistd to start the daemon with", fix)


def check_store(patient: Patient) -> Iterator[Finding]:
    """Check the database."""
    url = patient.settings.database
    if url.startswith("sqlite:///"):
        yield from _sqlite(Path(patient.settings.state_directory, os.path.expanduser(url.removeprefix("sqlite:///"))))
    else:
        yield from _postgres(url)


def _sqlite(path: Path) -> Iterator[Finding]:
    directory = next(parent for parent in path.parents if parent.exists())
    fix = "Make it the daemon's user's own (chown), or name another with STATE_DIRECTORY or DATABASE_URL."
    if not os.access(directory, os.W_OK | os.X_OK):
        yield failed("store", f"{directory} may not be written by this user", fix)
        return
    if shutil.disk_usage(directory).free < _ROOM:
        yield warning("store", f"the disk of {directory} is nearly full", "Free some space.")
    if not path.exists():
        yield ok("store", f"{path} is not there yet; the daemon makes it")
        return
    try:
        # Read-only: the check must not migrate the database.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT)) as database:
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        answer = str(error)
    if answer == "ok":
        yield ok("store", f"{path} is sound")
    else:
        yield failed("store", f"{path} cannot be used: {answer}", "Restore a backup (docs/stores.md), or move it away.")


def _postgres(url: str) -> Iterator[Finding]:
    try:
        with closing(psycopg2.connect(url, connect_timeout=_TIMEOUT)) as connection:
            number = connection.server_version
    except psycopg2.OperationalError as error:
        reason = " ".join(str(error).split())
        yield failed(
            "store", f"PostgreSQL: {reason}", "Start it, or correct DATABASE_URL: user, password, host, database."
        )
    except psycopg2.ProgrammingError:
        # The error's message would contain the URL, and so the password.
        yield failed("store", "DATABASE_URL does not parse", "postgresql://USER:PASSWORD@HOST/NAME, percent-encoded")
    else:
        yield ok("store", f"PostgreSQL {number // 10000}.{number % 10000} answers")


def check_permissions(patient: Patient, environment_file: Path | None) -> Iterator[Finding]:
    """Check that secret files are not accessible to other users."""
    secret = [configuration_path(patient.environment), *([environment_file] if environment_file else [])]
    database = patient.settings.database
    if database.startswith("sqlite:///"):
        secret.append(Path(patient.settings.state_directory, os.path.expanduser(database.removeprefix("sqlite:///"))))
    open_to_others = [path for path in secret if _mode(path) & 0o077]
    for path in open_to_others:
        yield warning("permissions", f"others may read {path}", f"chmod 600 {path}")
    if not open_to_others:
        yield ok("permissions", "secret files are private to this user")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def check_port(patient: Patient) -> Iterator[Finding]:
    """Check that the daemon can listen on its port, or already does."""
    host, port = patient.settings.host, patient.settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            yield _whose(place, patient.key)
        elif error.errno == errno.EACCES:
            fix = "Choose a PORT from 1024 on, or allow it: AmbientCapabilities=CAP_NET_BIND_SERVICE under systemd."
            yield failed("port", f"this user may not listen on {place}", fix)
        else:
            fix = "HOST has to be an address of this machine: 127.0.0.1, 0.0.0.0, ::"
            yield failed("port", f"cannot listen on {place}: {error.strerror}", fix)
    else:
        yield ok("port", f"{place} is free")
    if patient.settings.internal_listen is None and not is_loopback(host):
        fix = "Set INTERNAL_LISTEN=tcp:4003:interface=127.0.0.1: HOST and PORT then serve previews only."
        yield warning("port", f"containers and the network reach the internal API at {place}", fix)


def _whose(place: str, key: str | None) -> Finding:
    anywhere = place.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 - to connect, not to listen
    client = Client(f"http://{anywhere}", key or "-", timeout=_TIMEOUT, retries=Retries(attempts=1))
    try:
        client.list_sessions(limit=1)
    except ApiError as error:
        # Any error in the contract's shape identifies the daemon, even when this port does not serve the API.
        if error.code == "UNKNOWN":
            return failed("port", f"another program listens on {place}", "End it, or choose another PORT.")
    except ClientError:
        return failed("port", f"another program listens on {place}", "End it, or choose another PORT.")
    return ok("port", f"the daemon listens on {place}")


def check_daemon(patient: Patient) -> Iterator[Finding]:
    """Check that clients reach the daemon, and that it accepts their key."""
    url = patient.url
    try:
        origin = parse_origin(url)
        client = Client(url, patient.key or "-", timeout=_TIMEOUT, retries=Retries(attempts=1))
        client.list_sessions(limit=1)
    except errors.Unreachable:
        fix = "Start it: twistd -n sandbox; or correct SANDBOX_URL."
        yield warning("daemon", f"no daemon answers at {url}", fix)
        return
    except errors.Forbidden:
        fix = "Give clients the daemon's INTERNAL_SERVICE_KEY, by the variable or the configuration file."
        yield failed("daemon", f"the daemon at {url} refuses the key", fix)
        return
    except ClientError as error:
        yield failed("daemon", f"{url}: {error}", "Look into its log; correct SANDBOX_URL if it is not the daemon's.")
        return
    if origin.secure:
        yield ok("daemon", f"it answers at {url}")
    else:
        fix = "Put a proxy with TLS in front and use https://, or a tunnel."
        yield warning("daemon", f"it answers at {url}, and the key can be read on the way", fix)
