"""The agent's aarch64 program, run by qemu's user mode emulation in a container of this machine's kind."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from sandbox.domain.errors import InvalidPath, WorkspaceError
from sandbox.domain.model import EntryType, ExecSpec
from sandbox.runtimes.docker import program
from tests.runtimes.docker.test_agents import AgentsTestCase

#: Static; Debian's package qemu-user-static provides it.
QEMU = Path("/usr/bin/qemu-aarch64-static")


class Aarch64Tests(AgentsTestCase):
    """A few exchanges: what depends on the machine is how the program was compiled, not what it does."""

    def setUp(self) -> None:
        """Put the program where this machine's would be, with the emulator before it."""
        super().setUp()
        wrapper = b'#!/bin/sh\nexec /qemu /agent-aarch64 "$@"\n'
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in (
                ("qemu", QEMU.read_bytes()),
                ("agent-aarch64", program.program("aarch64")),
                (program.path().lstrip("/"), wrapper),
            ):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        self.lab.engine.put_archive(self.container_id, "/", stream.getvalue())

    async def test_commands(self) -> None:
        spec = ExecSpec(argv=[b"/bin/sh", b"-c", b"id -u; pwd; echo err >&2; exit 3"])
        result = await self.runtime.execute(self.container, spec)
        self.assertTrue(self.processes("/qemu /agent-aarch64"))
        uid = b"1000" if self.user else b"0"
        self.assertEqual((result.stdout, result.stderr), (uid + b"\n/workspace\n", b"err\n"))
        self.assertEqual((result.exit_code, result.signal), (3, None))

    async def test_a_timeout_kills_all(self) -> None:
        spec = ExecSpec(argv=[b"/bin/sh", b"-c", b"setsid sleep 1001 & echo begun; sleep 1001"], timeout_ms=3000)
        result = await self.runtime.execute(self.container, spec)
        self.assertEqual((result.timed_out, result.survivors, result.stdout), (True, 0, b"begun\n"))
        self.assertEqual(self.processes("sleep 1001"), [])

    async def test_files(self) -> None:
        content = bytes(range(256)) * 1000
        self.assertEqual(await self.runtime.write_file(self.container, b"a/file", b"old"), 3)
        self.assertEqual(await self.runtime.write_file(self.container, b"a/file", content), len(content))
        self.assertEqual((await self.runtime.read_file(self.container, b"a/file", 1 << 20)).content, content)
        (entry,) = await self.runtime.list_directory(self.container, b"a")
        self.assertEqual((entry.name, entry.type, entry.size), (b"file", EntryType.FILE, len(content)))
        self.assertEqual((await self.runtime.stat(self.container, b"a/file")).size, len(content))
        self.assertIsNone(await self.runtime.stat(self.container, b"none"))
        with self.assertRaises(WorkspaceError) as caught:
            await self.runtime.read_file(self.container, b"a", 10)
        self.assertEqual(caught.exception.reason_code, "IS_A_DIRECTORY")
        self.scene.link(b"out", b"/etc")
        with self.assertRaises(InvalidPath):
            await self.runtime.read_file(self.container, b"out/passwd", 1000)


class RootAarch64Tests(Aarch64Tests):
    """The same in an image that runs as root."""

    user = ""
