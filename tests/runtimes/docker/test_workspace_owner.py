"""Whoever the image's user is, the workspace is theirs; on a real engine, with images of the test's own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from sandbox.domain.errors import EngineError, ImageUnusable
from sandbox.domain.model import Container, ContainerSpec, ExecSpec
from tests.runtimes.docker.site import SiteTestCase

PASSWD = b"root:x:0:0::/:/bin/sh\napp:x:1500:1501::/:/bin/sh\n"
GROUP = b"root:x:0:\napp:x:1501:\nstaff:x:1502:app\n"


def image_tar(
    workspace_owner: int | None,
    passwd: bytes | None,
    link: bool = False,
    shell: bool = True,
    workspace_link: str = "",
) -> bytes:
    """An image's files: busybox, a user database, and a workspace or none."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:

        def add(name: str, mode: int, content: bytes | None, owner: int = 0, target: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = mode, owner, owner
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            if target:
                entry.type, entry.linkname = tarfile.SYMTYPE, target
            entry.size = len(content or b"")
            tar.addfile(entry, io.BytesIO(content or b""))

        for directory in ("bin", "etc", "proc", "sys", "dev", "store"):
            add(directory, 0o755, None)
        if workspace_owner is not None:
            add("workspace", 0o700, None, workspace_owner)
            add("workspace/template", 0o644, b"from the image", workspace_owner)
        if workspace_link:
            add("workspace", 0o777, b"", target=workspace_link)
        if shell:
            add("bin/busybox", 0o755, Path("/bin/busybox").read_bytes())
            for applet in ("sh", "id", "cat", "touch", "stat"):
                add(f"bin/{applet}", 0o777, b"", target="busybox")
        if passwd is not None:
            add("store/passwd" if link else "etc/passwd", 0o644, passwd)
            if link:
                add("etc/passwd", 0o777, b"", target="/store/passwd")
            add("etc/group", 0o644, GROUP)
    return stream.getvalue()


class WorkspaceOwnerTests(SiteTestCase):
    """A file that the image's user writes, in a workspace that the image has, or has not."""

    async def image_for(self, user: str, **more: Any) -> str:
        """An image, removed when the test ends."""
        more = {"workspace_owner": None, "passwd": PASSWD, **more}
        changes = ["ENV PATH=/bin", f"USER {user}"] if user else ["ENV PATH=/bin"]
        image: str = await self.outside(self.site.image, image_tar(**more), changes)
        return image

    async def create(self, image: str) -> Container:
        """A session from an image."""
        spec = ContainerSpec(session_id=self.site.session_id(), image=image)
        container: Container = await self.runtime.create(spec)
        return container

    async def owner_of_what_is_written(self, image: str) -> str:
        """User and group of a file that a command of the session writes."""
        container = await self.create(image)
        script = b"cd /workspace && touch file && stat -c %u:%g file"
        result = await self.runtime.execute(container, ExecSpec(argv=[b"/bin/sh", b"-c", script]))
        self.assertEqual((result.exit_code, result.stderr), (0, b""))
        self.assertEqual(await self.runtime.write_file(container, b"by/the/api", b"x"), 1)
        return str(result.stdout.decode().strip())

    async def test_without_a_workspace_in_the_image(self) -> None:
        for user, owner in (
            ("", "0:0"),
            ("root", "0:0"),
            ("app", "1500:1501"),
            ("1500", "1500:1501"),
            ("app:staff", "1500:1502"),
            ("1234:1235", "1234:1235"),
            ("1234", "1234:0"),
        ):
            self.assertEqual(await self.owner_of_what_is_written(await self.image_for(user)), owner, user)

    async def test_with_a_workspace_of_the_users_or_of_roots(self) -> None:
        for workspace_owner in (0, 1500):
            image = await self.image_for("app", workspace_owner=workspace_owner)
            self.assertEqual(await self.owner_of_what_is_written(image), "1500:1501")

    async def test_what_the_image_has_in_its_workspace_is_there(self) -> None:
        container = await self.create(await self.image_for("app", workspace_owner=1500))
        found = await self.runtime.read_file(container, b"template", 100)
        self.assertEqual(found.content, b"from the image")

    async def test_a_user_database_that_is_a_link(self) -> None:
        self.assertEqual(await self.owner_of_what_is_written(await self.image_for("app", link=True)), "1500:1501")

    async def test_no_user_database(self) -> None:
        self.assertEqual(await self.owner_of_what_is_written(await self.image_for("1234", passwd=None)), "1234:0")

    async def test_an_unknown_user_leaves_nothing(self) -> None:
        session_id = self.site.session_id()
        image = await self.image_for("nobody-there")
        with self.assertRaisesRegex(EngineError, "nobody-there"):
            await self.runtime.create(ContainerSpec(session_id=session_id, image=image))
        self.assertEqual(self.site.traces(session_id), [])

    async def test_f7_a_user_database_that_only_the_engine_understood(self) -> None:
        passwd = b"root:x:0:0::/:/bin/sh\n  app:x:1500:1501\n"
        for user, owner in (("app", "1500:1501"), ("1500", "1500:1501"), ("app:staff", "1500:1502")):
            image = await self.image_for(user, passwd=passwd)
            self.assertEqual(await self.owner_of_what_is_written(image), owner, user)

    async def test_f9_a_workspace_that_is_a_link_is_refused_and_leaves_nothing(self) -> None:
        for target in ("/store", "/nowhere"):
            for user in ("app", ""):
                session_id = self.site.session_id()
                image = await self.image_for(user, workspace_link=target)
                with self.assertRaises(ImageUnusable) as caught:
                    await self.runtime.create(ContainerSpec(session_id=session_id, image=image))
                self.assertEqual(
                    caught.exception.message, f"Image {image} cannot be used: /workspace is a symbolic link in it"
                )
                self.assertEqual(self.site.traces(session_id), [])

    async def test_a_main_process_finds_its_workspace_writable_when_it_starts(self) -> None:
        command = "/bin/sh -c 'touch /workspace/first && while :; do read x; done'"
        runtime = await self.opened(self.site.settings(SESSION_COMMAND=command))
        container = await runtime.create(
            ContainerSpec(session_id=self.site.session_id(), image=await self.image_for("app"))
        )
        script = b"stat -c '%u:%g %a' /workspace; stat -c %u /workspace/first"
        result = await runtime.execute(container, ExecSpec(argv=[b"/bin/sh", b"-c", script]))
        self.assertEqual(result.stdout, b"1500:1501 755\n1500\n")

    async def test_an_image_without_a_shell_or_anything_else(self) -> None:
        container = await self.create(await self.image_for("", shell=False, passwd=None))
        self.assertTrue(container.running)
        self.assertEqual(await self.runtime.write_file(container, b"file", b"content"), 7)
        self.assertTrue((await self.runtime.stop(container.id)).state)
