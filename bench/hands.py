"""Three ways to work in one and the same container: this API, docker-py, and the ``docker`` command."""

from __future__ import annotations

import http.client
import io
import json
import secrets
import subprocess
import tarfile
import threading
import time
from typing import Any, Protocol
from urllib.parse import quote

import attrs
import docker

from bench.measurement import Failed

#: The label of containers that are made without the API, to find and remove them by.
LABEL = "sandbox.bench"
#: Seconds that an idle connection is used again: fewer than the daemon keeps it.
_KEPT = 30.0


class Hands(Protocol):
    """What is measured. Paths are relative to ``/workspace``; each call returns when all of its answer is there."""

    def execute(self, script: str) -> int:
        """Run a shell script; gives the bytes of its output.

        :raises Failed: when its exit code is not 0.
        """

    def read(self, path: str) -> int:
        """Read a file; gives its size."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a file."""

    def stat(self, path: str) -> None:
        """Ask for a file's size and time."""

    def list(self, path: str) -> int:
        """List a directory with sizes and times; gives the number of entries."""

    def create(self) -> str:
        """Make a container of the same image and start it, and run a first command in it; gives its name."""

    def remove(self, name: str) -> None:
        """Remove what :meth:`create` made."""


@attrs.define
class Api:
    """This API, on a connection that each thread keeps.

    :ivar session: the session whose container it is.
    """

    port: int
    key: str
    session: str
    token: str
    _local: threading.local = attrs.field(factory=threading.local)

    def call(self, method: str, target: str, body: object = None) -> Any:
        """A request; gives the JSON that it answers.

        :param target: behind ``/api/internal/sessions``.

        :raises Failed: when it is refused.
        """
        if time.monotonic() - getattr(self._local, "used", -_KEPT) >= _KEPT:
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self._local.used = time.monotonic()
        connection: http.client.HTTPConnection = self._local.connection
        data = None if body is None else json.dumps(body).encode()
        fields = {"X-Internal-Service-Key": self.key, "Content-Type": "application/json"}
        connection.request(method, f"/api/internal/sessions{target}", data, fields)
        response = connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise Failed(f"{method} {target}: {response.status} {content[:200]!r}")
        return json.loads(content) if content else None

    def execute(self, script: str) -> int:
        """See :class:`Hands`."""
        done = self.call("POST", f"/{self.session}/exec", {"command": script})
        if done["exitCode"] != 0 or done["truncated"]:
            raise Failed(f"{script}: exit code {done['exitCode']}, truncated: {done['truncated']}")
        return len(done["stdout"])

    def read(self, path: str) -> int:
        """See :class:`Hands`."""
        return len(self.call("GET", f"/{self.session}/files?path={quote(path)}")["content"])

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Hands`."""
        self.call("POST", f"/{self.session}/files", {"path": path, "content": content.decode("ascii")})

    def stat(self, path: str) -> None:
        """See :class:`Hands`."""
        self.call("GET", f"/{self.session}/stat?path={quote(path)}")

    def list(self, path: str) -> int:
        """See :class:`Hands`."""
        return len(self.call("GET", f"/{self.session}/dirs?path={quote(path)}")["entries"])

    def create(self) -> str:
        """See :class:`Hands`."""
        name = f"bench-{self.token}-{secrets.token_hex(4)}"
        self.call("POST", "", {"userId": "bench", "id": name})
        self.call("POST", f"/{name}/exec", {"command": ["true"]})
        return name

    def remove(self, name: str) -> None:
        """See :class:`Hands`."""
        self.call("DELETE", f"/{name}")


@attrs.define
class DockerPy:
    """docker-py: exec, and the engine's archive calls for files. A client for each thread."""

    url: str
    container: str
    image: str
    token: str
    _local: threading.local = attrs.field(factory=threading.local)

    @property
    def client(self) -> docker.APIClient:
        """This thread's client."""
        if not hasattr(self._local, "client"):
            self._local.client = docker.APIClient(base_url=self.url, version="1.41", timeout=120)
        return self._local.client

    def execute(self, script: str) -> int:
        """See :class:`Hands`."""
        return self._execute(self.container, script)

    def _execute(self, container: str, script: str) -> int:
        execution = self.client.exec_create(container, ["/bin/sh", "-c", script])["Id"]
        output = self.client.exec_start(execution)
        if self.client.exec_inspect(execution)["ExitCode"] != 0:
            raise Failed(f"{script}: {output[:200]!r}")
        return len(output)

    def _archive(self, path: str) -> tarfile.TarFile:
        pieces, _ = self.client.get_archive(self.container, f"/workspace/{path}")
        return tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))

    def read(self, path: str) -> int:
        """See :class:`Hands`."""
        with self._archive(path) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            assert file is not None
            return len(file.read())

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Hands`."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        if not self.client.put_archive(self.container, "/workspace", stream.getvalue()):
            raise Failed("put_archive failed")

    def stat(self, path: str) -> None:
        """See :class:`Hands`: ``HEAD`` of the archive, which docker-py has no method for."""
        url = self.client._url("/containers/{0}/archive", self.container)
        self.client.head(url, params={"path": f"/workspace/{path}"}, timeout=60).raise_for_status()

    def list(self, path: str) -> int:
        """See :class:`Hands`: the directory comes with all that its files hold."""
        with self._archive(path) as archive:
            return len(archive.getmembers()) - 1

    def create(self) -> str:
        """See :class:`Hands`."""
        limits = self.client.create_host_config(mem_limit="1g", nano_cpus=10**9, pids_limit=2048)
        made: str = self.client.create_container(
            self.image, ["sleep", "1000"], labels={LABEL: self.token}, host_config=limits
        )["Id"]
        self.client.start(made)
        self._execute(made, "true")
        return made

    def remove(self, name: str) -> None:
        """See :class:`Hands`."""
        self.client.remove_container(name, force=True, v=True)


@attrs.frozen
class Cli:
    """The ``docker`` command, a process a call."""

    url: str
    container: str
    image: str
    token: str

    def _docker(self, *arguments: str, given: bytes | None = None) -> bytes:
        command = ["docker", "--host", self.url, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=120)
        if done.returncode != 0:
            raise Failed(f"docker {arguments[0]}: {done.stderr[:200]!r}")
        return done.stdout

    def execute(self, script: str) -> int:
        """See :class:`Hands`."""
        return len(self._docker("exec", self.container, "/bin/sh", "-c", script))

    def read(self, path: str) -> int:
        """See :class:`Hands`."""
        return len(self._docker("exec", self.container, "cat", f"/workspace/{path}"))

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Hands`."""
        script = 'cat >"$1.new" && mv "$1.new" "$1"'
        self._docker("exec", "-i", self.container, "sh", "-c", script, "sh", f"/workspace/{path}", given=content)

    def stat(self, path: str) -> None:
        """See :class:`Hands`."""
        self._docker("exec", self.container, "stat", "-c", "%s %Y", f"/workspace/{path}")

    def list(self, path: str) -> int:
        """See :class:`Hands`."""
        return len(self._docker("exec", self.container, "ls", "-lA", f"/workspace/{path}").splitlines()) - 1

    def create(self) -> str:
        """See :class:`Hands`."""
        limits = ["--memory", "1g", "--cpus", "1", "--pids-limit", "2048"]
        label = ["--label", f"{LABEL}={self.token}"]
        name = self._docker("run", "--detach", *limits, *label, self.image, "sleep", "1000").decode().strip()
        self._docker("exec", name, "true")
        return name

    def remove(self, name: str) -> None:
        """See :class:`Hands`."""
        self._docker("rm", "--force", "--volumes", name)
