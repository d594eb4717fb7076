"""How tests get at a real Docker engine: its address, an image made without a registry, throwaway containers.

A test that needs an engine fails when there is none. Everything made here carries the label ``sandbox.test`` with
the token of one :class:`Lab`, which removes it again; the image stays for the next run.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import docker
import docker.errors
from twisted.trial.unittest import TestCase

#: Where the engine listens, as for the daemon itself.
ENGINE_URL = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
#: A static busybox, a user ``session`` (1000:1000) who owns ``/workspace``, and nothing else.
BUSYBOX = "sandbox-test-busybox:1"
#: The label that names the :class:`Lab` a thing belongs to.
TEST_LABEL = "sandbox.test"
#: The daemon's default session label.
SESSION_LABEL = "sandbox.session.id"


@contextmanager
def exclusive(image: str) -> Iterator[None]:
    """Make an image in one process at a time: the tests run in several, and one of them makes it for all."""
    with Path(tempfile.gettempdir(), f"sandbox-{image}-image.{os.getuid()}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def client(url: str = ENGINE_URL) -> docker.APIClient:
    """A docker-py client of the engine that the tests use."""
    return docker.APIClient(base_url=url, version="1.41", timeout=60)


def ensure_busybox(engine: docker.APIClient) -> str:
    """Import :data:`BUSYBOX` unless the engine has it; Debian's package busybox-static provides the program."""
    try:
        engine.inspect_image(BUSYBOX)
    except docker.errors.ImageNotFound:
        repository, tag = BUSYBOX.split(":")
        changes = ["ENV PATH=/bin", "WORKDIR /workspace", 'CMD ["/bin/sleep", "1000000"]']
        engine.import_image_from_data(_busybox_tar(), repository=repository, tag=tag, changes=changes)
    return BUSYBOX


def _busybox_tar() -> bytes:
    program = Path("/bin/busybox").read_bytes()
    if b"/ld-linux" in program:
        raise AssertionError("/bin/busybox is not static: install the package busybox-static")
    applets = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
    files = {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nsession:x:1000:1000::/workspace:/bin/sh\n",
        "etc/group": b"root:x:0:\nsession:x:1000:\nextra:x:2000:session\n",
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:

        def add(name: str, kind: bytes, mode: int, data: bytes = b"", *, link: str = "", owner: int = 0) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), link
            entry.uid = entry.gid = owner
            tar.addfile(entry, io.BytesIO(data))

        for directory in ("bin", "etc", "root", "proc", "sys", "dev"):
            add(directory, tarfile.DIRTYPE, 0o755)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        add("workspace", tarfile.DIRTYPE, 0o755, owner=1000)
        add("bin/busybox", tarfile.REGTYPE, 0o755, program)
        for applet in set(applets) - {"busybox"}:
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        for name, text in files.items():
            add(name, tarfile.REGTYPE, 0o644, text)
    return stream.getvalue()


class Lab:
    """Containers for one test, and a plain blocking client to look at them from outside.

    :ivar token: random; part of every name and label made here.
    """

    def __init__(self, url: str = ENGINE_URL) -> None:
        self.token = secrets.token_hex(6)
        self.engine = client(url)
        ensure_busybox(self.engine)

    def session_id(self) -> str:
        """A session id that nobody else has."""
        return f"test-{self.token}-{secrets.token_hex(4)}"

    def container(
        self,
        *,
        session_id: str | None = None,
        image: str = BUSYBOX,
        command: Sequence[str] | None = ("/bin/sleep", "1000000"),
        user: str = "",
        environment: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        network: str = "none",
        start: bool = True,
        **host_config: Any,
    ) -> str:
        """Make a container, with an init that reaps, and give its id.

        :param session_id: the value of its session label; random when none is given.
        :param host_config: as for docker-py's ``create_host_config``: ``mem_limit``, ``pids_limit``, ``tmpfs`` …
        """
        host_config.setdefault("init", True)
        created = self.engine.create_container(
            image,
            command=list(command) if command is not None else None,
            user=user,
            environment=dict(environment or {}),
            labels={TEST_LABEL: self.token, SESSION_LABEL: session_id or self.session_id(), **(labels or {})},
            name=f"sandbox-test-{self.token}-{secrets.token_hex(4)}",
            host_config=self.engine.create_host_config(network_mode=network, **host_config),
        )
        container_id: str = created["Id"]
        if start:
            self.engine.start(container_id)
        return container_id

    def run(self, container_id: str, script: str, user: str = "0") -> str:
        """Run a shell script in a container with the engine's own exec; its output, stderr included.

        :raises AssertionError: when its exit code is not 0.
        """
        execution = self.engine.exec_create(container_id, ["/bin/sh", "-c", script], user=user)["Id"]
        output: bytes = self.engine.exec_start(execution)
        code = self.engine.exec_inspect(execution)["ExitCode"]
        if code != 0:
            raise AssertionError(f"exit code {code}: {script}\n{output!r}")
        return output.decode("utf-8", "surrogateescape")

    def processes(self, container_id: str) -> list[str]:
        """The command lines of what runs in a container, its init and main process included, zombies too."""
        top = self.engine.top(container_id, "-eo pid,stat,args")
        return [f"{stat} {args}" for _, stat, args in top["Processes"]]

    def remove_session(self, session_id: str) -> None:
        """Remove what a daemon made for a session that this lab named, whether or not the daemon still runs."""
        mine = {"label": f"{SESSION_LABEL}={session_id}"}
        for found in self.engine.containers(all=True, filters=mine):
            self.engine.remove_container(found["Id"], force=True)
        for volume in self.engine.volumes(filters=mine)["Volumes"] or []:
            self.engine.remove_volume(volume["Name"])

    def close(self) -> None:
        """Remove every container and volume with this lab's label."""
        mine = {"label": f"{TEST_LABEL}={self.token}"}
        for found in self.engine.containers(all=True, filters=mine):
            try:
                self.engine.remove_container(found["Id"], force=True, v=True)
            except docker.errors.NotFound:
                continue
        for volume in self.engine.volumes(filters=mine)["Volumes"] or []:
            self.engine.remove_volume(volume["Name"], force=True)
        self.engine.close()


class EngineTestCase(TestCase):
    """A test with a :class:`Lab` of its own, on the real engine.

    :cvar engine_url: where that engine listens.
    :ivar lab: removed with all that it made when the test ends.
    """

    timeout = 120
    engine_url: ClassVar[str] = ENGINE_URL

    def setUp(self) -> None:
        """Make the lab; fails when there is no engine."""
        self.lab = Lab(self.engine_url)
        self.addCleanup(self.lab.close)
