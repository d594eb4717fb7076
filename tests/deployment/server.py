"""A server to deploy on: Debian with systemd as PID 1 and an engine of its own, in a container of the tests' engine.

What nobody can have here is an image registry. So the images that the pages name are made on the server, of its own
files: a Python, a PostgreSQL with the official image's manners, and busybox for sessions.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import docker
import docker.errors
from quickstart.console import Console
from quickstart.engine import install

from tests.engine import BUSYBOX, ENGINE_URL, TEST_LABEL, client, ensure_busybox, exclusive

ROOT = Path(__file__).parents[2]
#: Where the project's checkout is on the server.
CHECKOUT = "/root/sandbox"
#: What makes the image: changed, it is made anew.
PACKAGES = (
    *("systemd", "systemd-sysv", "python3", "python3-venv", "procps", "curl", "openssl", "ca-certificates"),
    *("docker.io", "iptables", "docker-compose", "nginx-light", "caddy", "postgresql"),
    # For tests/browser: Rails, as Debian has it.
    *("ruby-railties", "puma"),
)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
# Started by the pages, or not at all.
_NOT_STARTED = "nginx caddy postgresql e2scrub_reap apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer"
# As the kernel numbers them, as far as engines know them.
_CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
"""
_SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.py", "requirements.lock", ".dockerignore", "sandbox")
_ETC = ("*.service", "*.socket", "*example*", "Dockerfile", "compose.yaml")
#: PostgreSQL as the official image has it: its variables, its directories, trust on its socket.
_POSTGRES = """#!/bin/sh
set -e
data=/var/lib/postgresql/data
if [ ! -e $data/PG_VERSION ]; then
  initdb --pgdata=$data --auth=trust --username="$POSTGRES_USER" --encoding=UTF8 --no-sync >/dev/null
  echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single -D $data postgres >/dev/null 2>&1 || true
fi
exec postgres -D $data -c listen_addresses= -c unix_socket_directories=/var/run/postgresql
"""


def _recipe() -> str:
    return hashlib.sha256(repr((PACKAGES, _LEFT_OUT, _NOT_STARTED)).encode()).hexdigest()[:12]


@cache
def ensure_image() -> str:
    """Have the engine know the server's image; it stays for the next run."""
    name = f"sandbox-test-server:{_recipe()}"
    engine = client()
    try:
        with exclusive("server"):
            try:
                engine.inspect_image(name)
            except docker.errors.ImageNotFound:
                _make_image(engine, name)
        return name
    finally:
        engine.close()


def _make_image(engine: docker.APIClient, name: str) -> None:
    if shutil.which("mmdebstrap") is None:
        install(["mmdebstrap"], dict(os.environ), Console())
    Console().say("Making the server that tests deploy on, with mmdebstrap (about a minute)")
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        archive = Path(folder, "root.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        command += [f'--customize-hook=chroot "$1" systemctl disable {_NOT_STARTED}', "bookworm", str(archive)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise AssertionError(f"mmdebstrap failed: {done.stdout}{done.stderr}")
        repository, tag = name.split(":")
        engine.import_image(src=str(archive), repository=repository, tag=tag)


class Wheels:
    """Every dependency at its locked version, as wheels, so that the server needs no package index; made meanwhile."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wheels-"))
        project = self.directory / "project"
        (project / "sandbox").mkdir(parents=True)
        for name in ("pyproject.toml", "README.md", "LICENSE", "sandbox/__init__.py"):
            shutil.copy(ROOT / name, project / name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-build-isolation"]
        pip += ["--constraint", str(ROOT / "requirements.lock"), "--wheel-dir", str(self.directory / "made")]
        self._process = subprocess.Popen(
            [*pip, "setuptools", str(project)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.directory
        )

    def files(self) -> dict[str, bytes]:
        """They, by name, when they are made."""
        said = self._process.communicate(timeout=300)[0]
        if self._process.returncode:
            raise AssertionError(f"pip wheel failed: {said.decode()}")
        made = (self.directory / "made").glob("*.whl")
        return {path.name: path.read_bytes() for path in made if not path.name.startswith("sandbox-")}

    def close(self) -> None:
        """End making them, and remove what is there."""
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)


class Server:
    """One such server, booted."""

    def __init__(self) -> None:
        self.name = f"sandbox-test-server-{secrets.token_hex(6)}"
        self._engine = client()
        image = ensure_image()
        wheels = Wheels()
        bounds = int(Path("/proc/self/status").read_text().partition("CapBnd:\t")[2].split()[0], 16)
        host_config = self._engine.create_host_config(
            # --privileged would ask for what this machine may lack itself.
            cap_add=[name for number, name in enumerate(_CAPABILITIES.split()) if bounds >> number & 1],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            device_cgroup_rules=["a *:* rwm"],
            binds=["/sys/fs/cgroup:/sys/fs/cgroup"],
            tmpfs={"/run": "exec", "/run/lock": "", "/tmp": "exec"},
        )
        # systemd and the engine within write to the machine's own cgroups, and to /proc/sys.
        host_config |= {"CgroupnsMode": "host", "MaskedPaths": [], "ReadonlyPaths": []}
        created = self._engine.create_container(
            image,
            command=["/sbin/init"],
            name=self.name,
            hostname="server",
            environment={"container": "docker", "LANG": "C.UTF-8", "HOME": "/root"},
            volumes=["/var/lib/docker"],
            labels={TEST_LABEL: self.name},
            stop_signal="SIGRTMIN+3",
            host_config=host_config,
        )
        self.id: str = created["Id"]
        try:
            self._engine.start(self.id)
            self.put("/etc", {"pip.conf": b"[global]\nno-index = true\nfind-links = /opt/wheels\n"})
            self._put_checkout()
            self.run("mkdir /opt/wheels")
            self.put("/opt/wheels", wheels.files())
            self._make_images()
        except BaseException:
            self.close()
            raise
        finally:
            wheels.close()

    @property
    def address(self) -> str:
        """Its IP address on the engine's default network."""
        found = self._engine.inspect_container(self.id)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        return str(found)

    def run(self, script: str, *, check: bool = True, limit: float = 60) -> str:
        """Run a script by bash, as root in the checkout; what it prints on both streams.

        :raises AssertionError: when it fails, unless ``check`` is false.
        """
        done = subprocess.run(
            [*self.shell, "bash", "-c", script],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
        )
        if check and done.returncode:
            raise AssertionError(f"exit status {done.returncode}: {script}\n{done.stdout}")
        return done.stdout

    def until(self, script: str, *, limit: float = 60) -> str:
        """Run a script again and again until it succeeds; what it prints then."""
        end = time.monotonic() + limit
        while True:
            try:
                return self.run(script)
            except AssertionError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)

    @property
    def shell(self) -> list[str]:
        """What runs a program on it."""
        return ["docker", "--host", ENGINE_URL, "exec", "--interactive", "--workdir", CHECKOUT, self.name]

    def put(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Put files there, readable by all, executable where they begin with ``#!``."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
                tar.addfile(entry, io.BytesIO(content))
        self._engine.put_archive(self.id, directory, stream.getvalue())

    def _put_checkout(self) -> None:
        found = [path for name in _SOURCES for path in (ROOT / name, *(ROOT / name).rglob("*"))]
        found += [path for pattern in _ETC for path in (ROOT / "etc").glob(pattern)]
        found += [ROOT / "twisted" / "plugins" / "sandbox_plugin.py"]
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for path in found:
                if path.is_file() and "__pycache__" not in path.parts:
                    tar.add(path, f"sandbox/{path.relative_to(ROOT)}")
        self._engine.put_archive(self.id, "/root", stream.getvalue())

    def _make_images(self) -> None:
        """Give its engine the images that a registry would have."""
        self.until("docker version")
        busybox = ensure_busybox(self._engine)
        stream = io.BytesIO(b"".join(self._engine.get_image(busybox)))
        subprocess.run(
            [*self.shell, "docker", "load"], check=True, input=stream.read(), capture_output=True, timeout=60
        )
        self.put("/usr/local/bin", {"stand-in-postgres": _POSTGRES.encode()})
        self.run(
            """
            tar --create --one-file-system --directory=/ --exclude=./var/lib/docker --exclude=./var/lib/containerd \
              --exclude=./usr/sbin/dockerd --exclude=./usr/bin/docker* --exclude=./usr/bin/containerd* \
              --exclude=./usr/bin/caddy --exclude=./usr/lib/llvm* --exclude=./usr/lib/x86_64-linux-gnu/libLLVM* \
              --exclude=./var/cache --exclude=./var/log --exclude=./root . \
              | docker import - python:3.11-slim-bookworm >/dev/null
            docker build --quiet --tag postgres:15 - >/dev/null <<'END'
            FROM python:3.11-slim-bookworm
            ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin
            RUN mkdir --parents /var/lib/postgresql/data && chown postgres /var/lib/postgresql/data \
             && install --directory --owner=postgres --group=postgres --mode=2777 /var/run/postgresql
            USER postgres
            VOLUME /var/lib/postgresql/data
            CMD ["stand-in-postgres"]
            END
            """.replace("\n            ", "\n")
        )

    def close(self) -> None:
        """Turn it off and remove it with all that it made."""
        # What its containers leave of cgroups would stay: these are the machine's own.
        with suppress(subprocess.TimeoutExpired):
            self.run("docker ps --all --quiet | xargs --no-run-if-empty docker rm --force", check=False)
        with suppress(docker.errors.NotFound):
            self._engine.remove_container(self.id, force=True, v=True)
        self._engine.close()


@cache
def server() -> Server:
    """The server that a run's tests share; it ends with this process."""
    made = Server()
    atexit.register(made.close)
    return made


#: What a page's commands are on a server without an image registry.
INSTEAD = {"docker build --tag sandbox-session:latest etc/image": f"docker tag {BUSYBOX} sandbox-session:latest"}
