"""Writing where a file cannot be replaced, and what a replaced one keeps (F10, F11, F12)."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from sandbox.domain.errors import WorkspaceError
from sandbox.domain.model import Container
from tests.runtimes.docker.test_agents import HostScene
from tests.runtimes.docker.test_workspace import MIB, WorkspaceTestCase


def acl(*entries: tuple[int, int, int]) -> bytes:
    """The value of ``system.posix_acl_access``: tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


#: The owner rw, user 1234 rw, the group r, the mask rw, others nothing.
ACL = acl((1, 6, 2**32 - 1), (2, 6, 1234), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 0, 2**32 - 1))


class InPlaceTests(WorkspaceTestCase):
    """A file that the user may write is written, also where it cannot be replaced (F10, F11)."""

    def made_file(self, path: str, mode: int = 0o666) -> Path:
        """A file of root's."""
        made = self.host(path)
        made.write_bytes(b"a longer old text")
        made.chmod(mode)
        return made

    async def written(self, path: Path, name: bytes, container: Container | None = None) -> None:
        """It was rewritten, shorter and longer, is the same file as before, and nothing is beside it."""
        container, before = container or self.container, self.identity(path)
        for content in (b"new", b"n" * 300_000, b""):
            self.assertEqual(await self.runtime.write_file(container, name, content), len(content))
            self.assertEqual(self.content(path), content)
        self.assertEqual(self.identity(path), before)

    def content(self, path: Path) -> bytes:
        """What is in it, also where the user may only write."""
        return path.read_bytes()

    def identity(self, path: Path) -> tuple[object, ...]:
        """What stays when a file is rewritten."""
        found = path.stat()
        return found.st_ino, found.st_mode, found.st_uid, os.listdir(path.parent)

    async def test_f10_in_a_directory_that_may_not_be_changed(self) -> None:
        self.host("kept").mkdir(mode=0o755)
        await self.written(self.made_file("kept/file"), b"kept/file")
        await self.refused(self.write(b"kept/other", b"x"), "PERMISSION_DENIED")
        self.made_file("kept/foreign", 0o644)
        await self.refused(self.write(b"kept/foreign", b"x"), "PERMISSION_DENIED")

    async def test_f10_in_a_sticky_directory(self) -> None:
        self.host("sticky").mkdir()
        self.host("sticky").chmod(0o1777)
        for mode in (0o666, 0o622):
            await self.written(self.made_file(f"sticky/{mode}", mode), f"sticky/{mode}".encode())
        # One of the user's own is replaced.
        mine = self.made_file("sticky/mine")
        os.chown(mine, 1000, 1000)
        before = mine.stat().st_ino
        await self.write(b"sticky/mine", b"new")
        self.assertNotEqual(mine.stat().st_ino, before)

    async def test_f10_through_a_link(self) -> None:
        self.host("kept").mkdir(mode=0o755)
        made = self.made_file("kept/file")
        self.scene.link(b"link", b"kept/file")
        await self.written(made, b"link")

    async def test_f10_where_the_owner_cannot_be_kept(self) -> None:
        container = self.described(
            self.lab.container(user="session", binds=[f"{self.scene.root}:/workspace"], cap_drop=["ALL"])
        )
        await self.written(self.made_file("file"), b"file", container=container)

    async def test_f10_a_full_disk_leaves_the_old_content(self) -> None:
        container_id = self.lab.container(user="session", tmpfs={"/workspace": "size=1m,mode=755"})
        self.lab.run(container_id, "echo old > /workspace/file; chmod 666 /workspace/file")
        container = self.described(container_id)
        with self.assertRaises(WorkspaceError) as caught:
            await self.runtime.write_file(container, b"file", bytes(2 * MIB))
        self.assertEqual(caught.exception.reason_code, "NO_SPACE")
        self.assertEqual(self.lab.run(container_id, "cat /workspace/file; ls -A /workspace"), "old\nfile\n")
        await self.runtime.write_file(container, b"file", bytes(900_000))
        self.assertEqual((await self.runtime.stat(container, b"file")).size, 900_000)

    async def test_f10_set_id_bits_go_here_too(self) -> None:
        self.host("kept").mkdir(mode=0o755)
        path = self.made_file("kept/file", 0o6777)
        await self.write(b"kept/file", b"new")
        self.assertEqual((stat.S_IMODE(path.stat().st_mode), path.read_bytes()), (0o777, b"new"))

    async def test_f11_a_file_that_is_a_mount(self) -> None:
        outside = HostScene(1000)
        self.addCleanup(outside.remove)
        outside.file(b"conf", b"old", 0)
        for user in ("session", ""):
            for mode in ("rw", "ro"):
                container = self.described(
                    self.lab.container(
                        user=user,
                        binds=[f"{self.scene.root}:/workspace:{mode}", f"{outside.root}/conf:/workspace/conf"],
                    )
                )
                await self.written(outside.root / "conf", b"conf", container=container)


class MetadataTests(WorkspaceTestCase):
    """What a replaced file keeps beside mode and owner (F12)."""

    async def test_f12_extended_attributes_are_kept(self) -> None:
        for owner in (1000, 0, 1234):
            path = self.host("file")
            path.write_bytes(b"old")
            os.chown(path, owner, owner)
            path.chmod(0o666)
            attributes = {"user.origin": b"https://example.org", "user.empty": b"", "user.binary": bytes(range(256))}
            for name, value in attributes.items():
                os.setxattr(path, name, value)
            before = path.stat().st_ino
            await self.write(b"file", b"new")
            self.assertNotEqual(path.stat().st_ino, before)
            self.assertEqual({name: os.getxattr(path, name) for name in os.listxattr(path)}, attributes)
            path.unlink()

    async def test_f12_access_control_lists_are_kept(self) -> None:
        for owner in (1000, 1234):
            path = self.host("file")
            path.write_bytes(b"old")
            os.chown(path, owner, owner)
            path.chmod(0o646)
            os.setxattr(path, "system.posix_acl_access", ACL)
            path.chmod(0o646 | 0o020)
            expected = os.getxattr(path, "system.posix_acl_access")
            await self.write(b"file", b"new")
            self.assertEqual(path.read_bytes(), b"new")
            self.assertEqual(os.getxattr(path, "system.posix_acl_access"), expected)
            self.assertEqual((stat.S_IMODE(path.stat().st_mode), path.stat().st_uid), (0o666, owner))
            path.unlink()

    async def test_f12_what_the_directory_gives_new_files_is_not_given_to_replaced_ones(self) -> None:
        path = self.host("file")
        path.write_bytes(b"old")
        os.chown(path, 1000, 1000)
        path.chmod(0o640)
        os.setxattr(self.scene.root, "system.posix_acl_default", ACL)
        await self.write(b"file", b"new")
        self.assertEqual((path.read_bytes(), os.listxattr(path)), (b"new", []))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        await self.write(b"fresh", b"new")
        self.assertEqual(os.listxattr(self.host("fresh")), ["system.posix_acl_access"])

    async def test_f12_capabilities_go_as_with_any_write(self) -> None:
        path = self.host("file")
        path.write_bytes(b"old")
        os.chown(path, 1000, 1000)
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        await self.write(b"file", b"new")
        self.assertEqual(os.listxattr(path), [])


class RootMetadataTests(MetadataTests):
    """The same in an image that runs as root."""

    user = ""
