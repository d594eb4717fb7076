"""A private PostgreSQL server for tests: made from Debian's ``postgresql`` package, killed and brought back at will."""

from __future__ import annotations

import atexit
import glob
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote

import psycopg2

START_TIMEOUT = 60.0


def binary(name: str) -> str:
    """The newest installed server's program of that name.

    :raises RuntimeError: when there is none: these tests are never skipped.
    """
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which(name)
    if path is None:
        raise RuntimeError(f"no {name}: install a PostgreSQL server (apt-get install postgresql)")
    return path


class PostgresServer:
    """A server in a temporary directory, on a free port of 127.0.0.1 and on a socket there; trusts everybody.

    It does not run as root: PostgreSQL refuses to. Its locale sorts as English does, so that an order which should
    not depend on the locale is seen to.
    """

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="pg-", dir="/tmp")
        self._data = os.path.join(self.directory, "data")
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", *_ENGLISH)

    def url(self, name: str = "postgres", *, host: str = "127.0.0.1", user: str = "postgres", **parameters: str) -> str:
        """The URL of a database, over TCP or, with the directory as its ``host``, over the socket."""
        options = {"host": host, "port": str(self.port), **parameters}
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
        return f"postgresql://{user}@/{name}?{query}"

    def start(self, *settings: str) -> None:
        """See that it runs, and wait until it answers.

        :param settings: ``name=value`` beside our own.
        """
        log = os.path.join(self.directory, "log")
        if self._process is None:
            mine = ["fsync=off", "listen_addresses=127.0.0.1", f"port={self.port}"]
            mine += [f"unix_socket_directories={self.directory}", "logging_collector=off"]
            with open(log, "ab") as output:
                self._process = subprocess.Popen(
                    [binary("postgres"), "-D", self._data, *(f"-c{setting}" for setting in (*mine, *settings))],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.directory,
                    start_new_session=True,
                    **self._identity,
                )
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg2.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    with open(log, errors="replace") as said:
                        raise RuntimeError(f"PostgreSQL does not start: {said.read()[-2000:]}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGQUIT an immediate one, as after a crash."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            process.wait(START_TIMEOUT)

    def freeze(self) -> None:
        """Keep it from answering: the kernel goes on to accept connections for it."""
        self._signal(self._pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, if it was kept."""
        self._signal(self._pids(), signal.SIGCONT)

    def kill_backends(self, database: str) -> int:
        """SIGKILL the processes that serve a database; the server then restarts itself. Answers how many they were."""
        rows = self.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (database,))
        self._signal([pid for (pid,) in rows], signal.SIGKILL)
        return len(rows)

    def execute(self, sql: str, values: Any = None, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements in a connection of their own, without a transaction around them; answers rows if any."""
        connection = psycopg2.connect(self.url(database), connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def make_database(self) -> str:
        """A new empty database's name."""
        name = "t" + secrets.token_hex(6)
        self.execute(f"CREATE DATABASE {name}")
        return name

    def remove(self) -> None:
        """End it and delete all of it."""
        if self._process is not None:
            self.thaw()
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _signal(pids: list[int], which: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # the server's processes come and go, and one's death ends others
                os.kill(pid, which)

    def _pids(self) -> list[int]:
        if self._process is None:
            return []
        with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children") as children:
            return [self._process.pid, *map(int, children.read().split())]

    def _run(self, program: str, *arguments: str) -> None:
        command = [binary(program), *arguments]
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, check=False, text=True, **self._identity
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


_ENGLISH = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")


@cache
def server() -> PostgresServer:
    """The server that tests share, running; it ends with this process."""
    made = PostgresServer()
    atexit.register(made.remove)
    made.start()
    return made
