"""Files in real containers: what the file system, a hostile container and a full disk do to them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from sandbox.domain.errors import InvalidPath, WorkspaceError
from sandbox.domain.model import EntryType, ExecSpec
from tests.runtimes.docker.test_agents import AgentsTestCase, run_python
from tests.waiting import until

MIB = 1 << 20

#: As fast as it can, until a file is there: two links and a directory take each other's places. Prints how often.
SWAP = """
import ctypes, os, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
os.chdir(sys.argv[1])
os.symlink("/canary", "decoy")
os.symlink("/canary", "link")
os.symlink("real", "spare")
count = 0
while count < 100_000 or not os.path.exists("enough"):
    for one, other in ((b"real", b"decoy"), (b"link", b"spare")):
        if exchange(-100, one, -100, other, 2):
            raise OSError(ctypes.get_errno())
    count += 2
print(count)
"""


class WorkspaceTestCase(AgentsTestCase):
    """Shorthands."""

    def host(self, path: str) -> Path:
        """Where a path of the workspace is on the host."""
        return self.scene.root / path

    def read(self, path: bytes, limit: int = MIB) -> Deferred[Any]:
        """``read_file``."""
        return self.runtime.read_file(self.container, path, limit)

    def write(self, path: bytes, content: bytes) -> Deferred[int]:
        """``write_file``."""
        return self.runtime.write_file(self.container, path, content)

    async def refused(self, operation: Deferred[Any], code: str) -> None:
        """It fails with this code."""
        with self.assertRaises(WorkspaceError) as caught:
            await operation
        self.assertEqual(caught.exception.reason_code, code)


class WriteTests(WorkspaceTestCase):
    """Writing is atomic, keeps what it should, and leaves nothing behind."""

    async def test_mode_and_owner_of_what_is_replaced_are_kept(self) -> None:
        for mode, owner, group in ((0o600, 1000, 1000), (0o755, 1000, 2000), (0o666, 0, 0), (0o1777, 1234, 5678)):
            path = self.host("file")
            path.write_bytes(b"old")
            os.chown(path, owner, group)
            path.chmod(mode)
            await self.write(b"file", b"new")
            found = path.stat()
            self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (mode, owner, group))
            self.assertEqual(path.read_bytes(), b"new")

    async def test_set_id_bits_go_as_with_any_write(self) -> None:
        path = self.host("file")
        path.write_bytes(b"old")
        os.chown(path, 0, 0)
        path.chmod(0o6777)
        await self.write(b"file", b"new")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o777)

    async def test_new_files_and_parents_are_the_users(self) -> None:
        await self.write(b"a/b/file", b"")
        for name, mode in (("a", 0o755), ("a/b", 0o755), ("a/b/file", 0o644)):
            found = self.host(name).stat()
            self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (mode, 1000, 1000))

    async def test_the_users_rights_are_asked(self) -> None:
        self.host("foreign").write_bytes(b"old")
        self.host("foreign").chmod(0o644)
        self.host("secret").write_bytes(b"secret")
        self.host("secret").chmod(0o600)
        self.host("closed").mkdir(mode=0o700)
        await self.refused(self.write(b"foreign", b"new"), "PERMISSION_DENIED")
        await self.refused(self.read(b"secret"), "PERMISSION_DENIED")
        await self.refused(self.write(b"closed/file", b"new"), "PERMISSION_DENIED")
        await self.refused(self.runtime.list_directory(self.container, b"closed"), "PERMISSION_DENIED")
        await self.refused(self.runtime.stat(self.container, b"closed/file"), "PERMISSION_DENIED")
        self.assertEqual(self.host("foreign").read_bytes(), b"old")

    async def test_a_running_program_can_be_replaced(self) -> None:
        self.lab.run(self.container_id, "cp /bin/busybox /workspace/sleep; chown 1000 /workspace/sleep")
        running = self.runtime.execute(self.container, ExecSpec(argv=[b"/workspace/sleep", b"5"]))
        await self.until(lambda: self.processes("/workspace/sleep 5"))
        await self.write(b"sleep", b"new")
        self.assertEqual((await running).exit_code, 0)

    async def test_a_reader_sees_the_old_or_the_new_and_nothing_else(self) -> None:
        texts = [bytes([letter]) * 200_000 for letter in b"ab"]
        await self.write(b"file", texts[0])
        seen = set()
        writing = gatherResults([self.write(b"file", texts[number % 2]) for number in range(100)])
        while not writing.called:
            seen.add(self.host("file").read_bytes())
            seen.add((await self.read(b"file")).content)
        await writing
        self.assertEqual(seen | set(texts), set(texts))
        self.assertEqual(os.listdir(self.scene.root), ["file"])

    async def test_a_large_file_survives_the_way(self) -> None:
        content = os.urandom(10 * MIB)
        await self.write(b"file", content)
        self.assertEqual((await self.read(b"file", 10 * MIB)).content, content)

    async def test_a_write_that_is_cancelled_leaves_old_or_new(self) -> None:
        await self.write(b"file", b"old")
        for delay in (0, 0.001, 0.003, 0.01, 0.03):
            writing = self.write(b"file", b"n" * 5 * MIB)
            writing.addErrback(lambda failure: None)
            await deferLater(reactor, delay)
            writing.cancel()
            # What was written meanwhile goes when the agent hears of it.
            await until(lambda: os.listdir(self.scene.root) == ["file"])
            self.assertIn(self.host("file").read_bytes(), (b"old", b"n" * 5 * MIB))

    async def test_a_killed_container_leaves_old_or_new(self) -> None:
        await self.write(b"file", b"old")
        writing = [self.write(b"file", bytes([65 + n]) * 3 * MIB) for n in range(8)]
        for each in writing:
            each.addErrback(lambda failure: None)
        await deferLater(reactor, 0.1)
        self.lab.engine.kill(self.container_id)
        await gatherResults(writing)
        content = self.host("file").read_bytes()
        self.assertTrue(content == b"old" or (len(content) == 3 * MIB and len(set(content)) == 1))

    async def test_a_read_only_workspace_is_said(self) -> None:
        container = self.described(self.lab.container(user="session", binds=[f"{self.scene.root}:/workspace:ro"]))
        self.host("file").write_bytes(b"old")
        for path in (b"file", b"new", b"a/new"):
            with self.assertRaises(WorkspaceError) as caught:
                await self.runtime.write_file(container, path, b"x")
            self.assertIn(caught.exception.reason_code, ("READ_ONLY", "PERMISSION_DENIED"))
        self.assertEqual((await self.runtime.read_file(container, b"file", 10)).content, b"old")

    async def test_no_workspace_is_said(self) -> None:
        self.lab.run(self.container_id, "mkdir /elsewhere")
        container_id = self.lab.container(user="")
        self.lab.run(container_id, "mv /workspace /elsewhere; ln -s /elsewhere /workspace")
        with self.assertRaises(WorkspaceError) as caught:
            await self.runtime.stat(self.described(container_id), b".")
        self.assertEqual(caught.exception.reason_code, "NO_WORKSPACE")


class FullDiskTests(WorkspaceTestCase):
    """A workspace of one MiB."""

    async def test_a_full_disk_leaves_the_old_file_and_nothing_else(self) -> None:
        container_id = self.lab.container(user="session", tmpfs={"/workspace": "size=1m,uid=1000,mode=755"})
        container = self.described(container_id)
        await self.runtime.write_file(container, b"file", b"old")
        for path in (b"file", b"new", b"a/b/new"):
            with self.assertRaises(WorkspaceError) as caught:
                await self.runtime.write_file(container, path, bytes(2 * MIB))
            self.assertEqual(caught.exception.reason_code, "NO_SPACE")
        self.assertEqual(self.lab.run(container_id, "ls -A /workspace; cat /workspace/file"), "file\nold")
        await self.runtime.write_file(container, b"file", b"n" * 1000_000)
        with self.assertRaises(WorkspaceError):
            await self.runtime.write_file(container, b"file", b"m" * 1000_000)
        self.assertEqual((await self.runtime.read_file(container, b"file", MIB)).content, b"n" * 1000_000)


class HostileTests(WorkspaceTestCase):
    """Special files are never opened, and no link leads out, not even one that changes meanwhile."""

    user = ""

    async def test_special_files_are_other_and_never_opened(self) -> None:
        self.scene.fifo(b"fifo")
        os.mknod(self.scene.at(b"zero"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
        os.mknod(self.scene.at(b"disk"), stat.S_IFBLK | 0o666, os.makedev(7, 99))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.scene.at(b"socket"))
        names = (b"fifo", b"zero", b"disk", b"socket")
        for name in names:
            self.assertIs((await self.runtime.stat(self.container, name)).type, EntryType.OTHER)
            await self.refused(self.read(name), "NOT_A_FILE")
            await self.refused(self.write(name, b"x"), "NOT_A_FILE")
        listed = await self.runtime.list_directory(self.container, b".")
        self.assertEqual({entry.name: entry.type for entry in listed}, dict.fromkeys(names, EntryType.OTHER))

    async def test_endless_and_growing_files_are_bounded(self) -> None:
        container = self.described(self.lab.container(user="", binds=["/proc:/workspace/proc"]))
        found = await self.runtime.read_file(container, b"proc/version", 1000)
        self.assertTrue(found.content.startswith(b"Linux"))  # its size is 0 by stat
        with self.assertRaises(WorkspaceError) as caught:
            await self.runtime.read_file(container, b"proc/kallsyms", 1000)
        self.assertEqual(caught.exception.reason_code, "FILE_TOO_LARGE")
        # The magic links of /proc are texts like any other: they name what is outside.
        for path in (b"proc/1/root", b"proc/self/root/etc/passwd", b"proc/1/cwd", b"proc/self/exe"):
            with self.assertRaises((InvalidPath, WorkspaceError)):
                await self.runtime.read_file(container, path, 1000)

    async def test_a_sparse_terabyte_is_told_and_not_read(self) -> None:
        os.truncate(_made(self.host("sparse")), 1 << 40)
        self.assertEqual((await self.runtime.stat(self.container, b"sparse")).size, 1 << 40)
        (entry,) = await self.runtime.list_directory(self.container, b".")
        self.assertEqual(entry.size, 1 << 40)
        await self.refused(self.read(b"sparse"), "FILE_TOO_LARGE")

    async def test_a_hundred_thousand_entries_in_one_call(self) -> None:
        for number in range(100_000):
            os.close(os.open(self.scene.at(b"%064d" % number), os.O_CREAT | os.O_WRONLY))
        entries = await self.agents(DIRECTORY_LIMIT="100000").list_directory(self.container, b".")
        self.assertEqual(len({entry.name for entry in entries}), 100_000)
        runtime = self.agents(DIRECTORY_LIMIT="99999")
        with self.assertRaises(WorkspaceError) as caught:
            await runtime.list_directory(self.container, b".")
        self.assertEqual(caught.exception.reason_code, "DIRECTORY_TOO_LARGE")

    async def test_a_thousand_directories_deep(self) -> None:
        path = b"d/" * 1000 + b"file"
        await self.write(path, b"deep")
        self.assertEqual((await self.read(path)).content, b"deep")
        # Such a path is longer than rmtree likes.
        self.lab.run(self.container_id, "rm -rf /workspace/d")

    async def test_entries_that_vanish_meanwhile_are_left_out(self) -> None:
        churn = "while :; do for i in 1 2 3 4 5 6 7 8 9; do : > $i; done; rm -f [0-9]; done"
        churning = self.runtime.execute(self.container, ExecSpec(argv=[b"/bin/sh", b"-c", churn.encode()]))
        churning.addErrback(lambda failure: None)
        await deferLater(reactor, 0.3)
        for _ in range(300):
            await self.runtime.list_directory(self.container, b".")
        churning.cancel()
        await churning

    async def test_no_byte_from_outside_while_links_are_swapped(self) -> None:
        self.lab.run(self.container_id, "mkdir /canary; echo outside > /canary/file; echo outside > /canary/here")
        self.scene.directory(b"real")
        self.scene.file(b"real/file", b"inside", 0)
        swapping = run_python(SWAP, str(self.scene.root))
        self.addCleanup(swapping.kill)
        seen: set[bytes] = set()
        refusals = rounds = 0
        while rounds < 100 or refusals < 10:
            rounds += 1
            for path in (b"link/file", b"real/file", b"link/here", b"real/here"):
                read, wrote, found, listed = await gatherResults(
                    [
                        operation.addErrback(lambda failure: failure.value)
                        for operation in (
                            self.read(path),
                            self.write(path + b"-new", b"x"),
                            self.runtime.stat(self.container, path),
                            self.runtime.list_directory(self.container, path.partition(b"/")[0]),
                        )
                    ]
                )
                refusals += isinstance(wrote, InvalidPath)
                if not isinstance(read, Exception):
                    seen.add(read.content)
                if not isinstance(found, Exception | None):
                    self.assertEqual((found.size, path.endswith(b"here")), (6, False))
                if not isinstance(listed, Exception):
                    self.assertNotIn(b"here", [entry.name for entry in listed])
            self.assertIsNone(swapping.poll())
        self.host("enough").touch()
        output, _ = await deferToThread(swapping.communicate)
        self.assertGreaterEqual(int(output), 100_000)
        self.assertEqual(seen, {b"inside"})
        self.assertEqual(
            self.lab.run(self.container_id, "cd /canary; ls; cat file here"), "file\nhere\noutside\noutside\n"
        )

    async def test_a_hard_link_and_a_directory_moved_away_are_the_containers_own(self) -> None:
        self.lab.run(self.container_id, "cd /workspace; echo text > a; ln a b; mkdir d; echo x > d/file")
        self.assertEqual((await self.read(b"b")).content, b"text\n")
        await self.write(b"b", b"new\n")
        self.assertEqual((await self.read(b"a")).content, b"text\n")  # replaced, not written through


def _made(path: Path) -> Path:
    path.write_bytes(b"")
    return path
