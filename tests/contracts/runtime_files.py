"""What every runtime does with files under ``/workspace`` (contract section 3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool

from sandbox.domain.errors import AnswerMemoryExhausted, InvalidPath, WorkspaceError
from sandbox.domain.model import Container, EntryType
from sandbox.policy.budget import STEP, Budget

reactor: Any = _reactor

#: Names that shells, editors and careless programs trip over; all legal.
NAMES = [
    *(
        b"-rf",
        b"a b",
        b" ",
        b"a\nb",
        b"'",
        b'"',
        b"$(id)",
        b"`id`",
        b"\\",
        b"*",
        b"~",
        b"%00",
        b"..a",
        b"...",
        b".hidden",
    ),
    *(
        b"\xff\xfe",
        b"caf\xe9",
        "é".encode(),
        "\u202egnp.exe".encode(),
        b"x" * 255,
        b"a\tb",
        b"\x7f",
        b"\x01",
        b"a:b",
        b"#",
        b"&",
    ),
]

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


class Scene(Protocol):
    """Makes what the API cannot."""

    def link(self, path: bytes, target: bytes) -> None:
        """A symbolic link."""

    def fifo(self, path: bytes) -> None:
        """A fifo."""

    def directory(self, path: bytes) -> None:
        """An empty directory."""

    def file(self, path: bytes, content: bytes, modified_ns: int) -> None:
        """A regular file with its time."""


class FilesContract:
    """The rows. Subclasses are ``TestCase`` and set ``runtime``, ``container`` and ``scene`` in ``setUp``."""

    runtime: Any
    container: Container
    scene: Any  # a Scene

    def write(self, path: bytes, content: bytes = b"") -> Deferred[int]:
        """``write_file``."""
        deferred: Deferred[int] = self.runtime.write_file(self.container, path, content)
        return deferred

    def read(self, path: bytes, limit: int = 1 << 20) -> Deferred[Any]:
        """``read_file``."""
        deferred: Deferred[Any] = self.runtime.read_file(self.container, path, limit)
        return deferred

    def list(self, path: bytes = b".") -> Deferred[Any]:
        """``list_directory``."""
        deferred: Deferred[Any] = self.runtime.list_directory(self.container, path)
        return deferred

    def stat(self, path: bytes) -> Deferred[Any]:
        """``stat``."""
        deferred: Deferred[Any] = self.runtime.stat(self.container, path)
        return deferred

    async def refused(self: Any, operation: Deferred[Any], code: str) -> None:
        """It fails with ``WorkspaceError`` and this code."""
        with self.assertRaises(WorkspaceError) as caught:
            await operation
        self.assertEqual(caught.exception.reason_code, code)

    async def outside(self: Any, path: bytes) -> None:
        """All four operations refuse a path because a link leads out."""
        for operation in (self.read, self.write, self.list, self.stat):
            with self.assertRaises(InvalidPath) as caught:
                await operation(path)
            self.assertEqual(caught.exception.message, "Invalid path: a symbolic link leads out of /workspace")

    # -- content ---------------------------------------------------------------------------------------------------

    async def test_what_is_written_is_read(self: Any) -> None:
        self.assertEqual(await self.write(b"file", b"text"), 4)
        found = await self.read(b"file")
        self.assertEqual((found.content, found.size), (b"text", 4))
        self.assertEqual(found.modified_ns, (await self.stat(b"file")).modified_ns)

    async def test_empty_content(self: Any) -> None:
        self.assertEqual(await self.write(b"file", b""), 0)
        self.assertEqual((await self.read(b"file")).content, b"")

    async def test_an_existing_file_is_replaced(self: Any) -> None:
        await self.write(b"file", b"a longer text")
        await self.write(b"file", b"short")
        self.assertEqual((await self.read(b"file")).content, b"short")
        self.assertEqual([entry.name for entry in await self.list()], [b"file"])

    async def test_parents_are_made(self: Any) -> None:
        await self.write(b"a/b/c/file", b"x")
        self.assertEqual((await self.read(b"a/b/c/file")).content, b"x")
        self.assertIs((await self.stat(b"a/b")).type, EntryType.DIRECTORY)

    async def test_sizes_around_the_pieces_in_which_content_travels(self: Any) -> None:
        for size in (4086, 4087, 4088, 65535, 65536, 65537, 131071, 131072, 131073, 1_000_000):
            content = bytes(range(256)) * (size // 256 + 1)
            await self.write(b"file", content[:size])
            self.assertEqual((await self.read(b"file")).content, content[:size])

    async def test_every_legal_name(self: Any) -> None:
        for name in NAMES:
            await self.write(name, name)
        for name in NAMES:
            self.assertEqual((await self.read(name)).content, name)
            self.assertIs((await self.stat(name)).type, EntryType.FILE)
        self.assertEqual(sorted(entry.name for entry in await self.list()), sorted(NAMES))

    async def test_any_content_under_any_name(self: Any) -> None:
        examples = itertools.count()

        @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
        @given(st.lists(names, min_size=1, max_size=4), st.binary())
        def round_trip(segments: list[bytes], content: bytes) -> None:
            path = b"%d/" % next(examples) + b"/".join(segments)  # no file is in another's way
            self.outcome(lambda: self.write(path, content))
            assert self.outcome(lambda: self.read(path)).content == content
            parent = path.rpartition(b"/")[0]
            assert segments[-1] in [entry.name for entry in self.outcome(lambda: self.list(parent))]

        await deferToThreadPool(reactor, reactor.getThreadPool(), round_trip)

    def outcome(self, operation: Callable[[], Deferred[Any]]) -> Any:
        return blockingCallFromThread(reactor, operation)

    # -- refusals --------------------------------------------------------------------------------------------------

    async def test_reading_what_is_missing(self: Any) -> None:
        await self.write(b"file")
        await self.refused(self.read(b"missing"), "FILE_NOT_FOUND")
        await self.refused(self.read(b"missing/file"), "FILE_NOT_FOUND")
        await self.refused(self.read(b"file/below"), "NOT_A_DIRECTORY")
        await self.refused(self.read(b"file/"), "NOT_A_DIRECTORY")

    async def test_reading_what_is_no_file(self: Any) -> None:
        self.scene.directory(b"directory")
        self.scene.fifo(b"fifo")
        await self.refused(self.read(b"directory"), "IS_A_DIRECTORY")
        await self.refused(self.read(b"."), "IS_A_DIRECTORY")
        await self.refused(self.read(b"fifo"), "NOT_A_FILE")

    async def test_reading_more_than_the_limit(self: Any) -> None:
        await self.write(b"file", bytes(1000))
        self.assertEqual((await self.read(b"file", limit=1000)).size, 1000)
        await self.refused(self.read(b"file", limit=999), "FILE_TOO_LARGE")

    async def test_writing_where_no_file_can_be(self: Any) -> None:
        await self.write(b"file", b"old")
        self.scene.directory(b"directory")
        self.scene.fifo(b"fifo")
        await self.refused(self.write(b"directory", b"x"), "IS_A_DIRECTORY")
        await self.refused(self.write(b".", b"x"), "IS_A_DIRECTORY")
        await self.refused(self.write(b"new/", b"x"), "IS_A_DIRECTORY")
        await self.refused(self.write(b"file/", b"x"), "NOT_A_DIRECTORY")
        await self.refused(self.write(b"file/below", b"x"), "NOT_A_DIRECTORY")
        await self.refused(self.write(b"fifo", b"x"), "NOT_A_FILE")
        self.assertEqual((await self.read(b"file")).content, b"old")
        self.assertIs((await self.stat(b"fifo")).type, EntryType.OTHER)
        self.assertEqual(len(await self.list()), 3)

    async def test_a_failed_write_leaves_no_parents(self: Any) -> None:
        self.scene.link(b"out", b"/tmp")
        await self.refused(self.write(b"a/b/c/", b"x"), "IS_A_DIRECTORY")
        self.assertEqual([entry.name for entry in await self.list()], [b"out"])

    # -- directories -----------------------------------------------------------------------------------------------

    async def test_a_listing_tells_types_and_hides_nothing(self: Any) -> None:
        await self.write(b"file", b"12345")
        await self.write(b".hidden", b"")
        self.scene.directory(b"directory")
        self.scene.link(b"link", b"file")
        self.scene.link(b"dangling", b"nowhere")
        self.scene.link(b"out", b"/etc")
        self.scene.fifo(b"fifo")
        found = {entry.name: entry for entry in await self.list()}
        self.assertEqual(
            {name: entry.type.value for name, entry in found.items()},
            {
                b"file": "file",
                b".hidden": "file",
                b"directory": "directory",
                b"link": "symlink",
                b"dangling": "symlink",
                b"out": "symlink",
                b"fifo": "other",
            },
        )
        self.assertEqual(found[b"file"].size, 5)

    async def test_f38_a_file_that_does_not_fit_the_budget_is_refused_and_the_next_one_read(self: Any) -> None:
        await self.write(b"big", bytes(3 * STEP))
        await self.write(b"small", b"small")
        budget = Budget(2 * STEP)
        share = budget.share()
        with self.assertRaises(AnswerMemoryExhausted):
            await self.runtime.read_file(self.container, b"big", 1 << 20, share)
        self.assertLessEqual(budget.held, budget.size)
        share.close()
        found = await self.runtime.read_file(self.container, b"small", 1 << 20, budget.share())
        self.assertEqual((found.content, budget.held), (b"small", STEP))

    async def test_f38_a_listing_that_does_not_fit_the_budget_is_refused(self: Any) -> None:
        for number in range(400):
            await self.write(b"%0200d" % number)
        budget = Budget(2 * STEP)
        share = budget.share()
        with self.assertRaises(AnswerMemoryExhausted):
            await self.runtime.list_directory(self.container, b".", share)
        share.close()
        found = await self.runtime.list_directory(self.container, b".", Budget(4 * STEP).share())
        self.assertEqual(len(found), 400)

    async def test_an_empty_directory_lists_nothing(self: Any) -> None:
        self.scene.directory(b"directory")
        self.assertEqual(list(await self.list(b"directory")), [])
        self.assertEqual(list(await self.list(b"directory/")), [])

    async def test_listing_what_is_no_directory(self: Any) -> None:
        await self.write(b"file")
        await self.refused(self.list(b"file"), "NOT_A_DIRECTORY")
        await self.refused(self.list(b"file/below"), "NOT_A_DIRECTORY")
        await self.refused(self.list(b"missing"), "FILE_NOT_FOUND")

    # -- metadata --------------------------------------------------------------------------------------------------

    async def test_stat_tells_type_size_and_time(self: Any) -> None:
        for moment in (0, 1, -1, 1_500_000_000_123_456_789, -1_500_000_000_123_456_789, -1_000_000_000):
            self.scene.file(b"file", b"123", moment)
            entry = await self.stat(b"file")
            self.assertEqual((entry.type, entry.size, entry.modified_ns), (EntryType.FILE, 3, moment))
            self.assertEqual((await self.read(b"file")).modified_ns, moment)
            self.assertEqual([entry.modified_ns for entry in await self.list()], [moment])

    async def test_stat_of_every_type(self: Any) -> None:
        self.scene.directory(b"directory")
        self.scene.fifo(b"fifo")
        self.assertIs((await self.stat(b".")).type, EntryType.DIRECTORY)
        self.assertIs((await self.stat(b"directory")).type, EntryType.DIRECTORY)
        self.assertIs((await self.stat(b"directory/")).type, EntryType.DIRECTORY)
        self.assertIs((await self.stat(b"fifo")).type, EntryType.OTHER)

    async def test_stat_of_what_is_missing(self: Any) -> None:
        await self.write(b"file")
        for path in (b"missing", b"missing/below", b"file/below", b"file/"):
            self.assertIsNone(await self.stat(path))

    # -- links -----------------------------------------------------------------------------------------------------

    async def test_links_inside_are_followed(self: Any) -> None:
        await self.write(b"a/file", b"text")
        await self.write(b"b/other", b"x")
        self.scene.link(b"relative", b"a/file")
        self.scene.link(b"absolute", b"/workspace/a/file")
        self.scene.link(b"b/up", b"../a")
        self.scene.link(b"slashes", b"///workspace//a///file")
        self.scene.link(b"chain", b"relative")
        for path in (b"relative", b"absolute", b"b/up/file", b"b/up/../b/up/file", b"slashes", b"chain"):
            self.assertEqual((await self.read(path)).content, b"text")
            self.assertIs((await self.stat(path)).type, EntryType.FILE)
        self.scene.link(b"home", b"/workspace")
        self.assertEqual([entry.name for entry in await self.list(b"home/a")], [b"file"])
        self.assertEqual([entry.name for entry in await self.list(b"b/up")], [b"file"])

    async def test_a_link_that_leads_out_is_refused(self: Any) -> None:
        self.scene.directory(b"a")
        for index, target in enumerate(
            (
                b"/etc/passwd",
                b"/",
                b"/proc/1/root/etc",
                b"/proc/self/cwd",
                b"..",
                b"../etc",
                b"a/../../etc",
                b"/workspaces",
            )
        ):
            name = b"link%d" % index
            self.scene.link(name, target)
            self.scene.link(b"to-" + name, name)
            await self.outside(name)
            await self.outside(name + b"/passwd")
            await self.outside(b"to-" + name)

    async def test_a_link_that_leads_out_and_in_again_is_refused(self: Any) -> None:
        await self.write(b"file")
        self.scene.link(b"around", b"../workspace/file")
        self.scene.link(b"about", b"/tmp/../workspace/file")
        await self.outside(b"around")
        await self.outside(b"about")

    async def test_links_that_never_end_are_refused(self: Any) -> None:
        self.scene.link(b"a", b"b")
        self.scene.link(b"b", b"a")
        self.scene.link(b"self", b"self/x")
        for path in (b"a", b"b/file", b"self"):
            for operation in (self.read, self.write, self.list):
                await self.refused(operation(path), "TOO_MANY_LINKS")
        for path in (b"b/file", b"a/", b"self/"):
            await self.refused(self.stat(path), "TOO_MANY_LINKS")

    async def test_f13_a_link_that_never_ends_is_itself_to_stat_as_in_a_listing(self: Any) -> None:
        self.scene.link(b"a", b"b")
        self.scene.link(b"b", b"a")
        self.scene.link(b"self", b"self/x")
        listed = {entry.name: entry.type for entry in await self.list()}
        for path in (b"a", b"b", b"self"):
            self.assertIs((await self.stat(path)).type, EntryType.SYMLINK)
            self.assertIs(listed[path], EntryType.SYMLINK)

    async def test_forty_links_are_followed_and_no_more(self: Any) -> None:
        await self.write(b"link0", b"end")
        for number in range(1, 42):
            self.scene.link(b"link%d" % number, b"link%d" % (number - 1))
        self.assertEqual((await self.read(b"link40")).content, b"end")
        await self.refused(self.read(b"link41"), "TOO_MANY_LINKS")

    async def test_a_dangling_link_is_itself_to_stat_and_missing_to_read(self: Any) -> None:
        self.scene.link(b"dangling", b"no/where")
        self.scene.link(b"chain", b"dangling")
        for path in (b"dangling", b"chain"):
            self.assertIs((await self.stat(path)).type, EntryType.SYMLINK)
            self.assertIsNone(await self.stat(path + b"/"))
            await self.refused(self.read(path), "FILE_NOT_FOUND")
            await self.refused(self.list(path), "FILE_NOT_FOUND")

    async def test_writing_through_a_link_keeps_the_link(self: Any) -> None:
        await self.write(b"a/file", b"old")
        self.scene.link(b"link", b"a/file")
        self.scene.link(b"dangling", b"a/new")
        await self.write(b"link", b"new")
        await self.write(b"dangling", b"made")
        self.assertEqual((await self.read(b"a/file")).content, b"new")
        self.assertEqual((await self.read(b"a/new")).content, b"made")
        types = {entry.name: entry.type for entry in await self.list()}
        self.assertIs(types[b"link"], EntryType.SYMLINK)
        self.assertIs(types[b"dangling"], EntryType.SYMLINK)

    # -- the seam --------------------------------------------------------------------------------------------------

    async def test_nothing_is_raised_before_the_deferred(self: Any) -> None:
        for operation in (self.read, self.write, self.list, self.stat):
            deferred = operation(b"\0" * 10)
            self.assertIsInstance(deferred, Deferred)
            deferred.addErrback(lambda failure: None)
            await deferred

    async def test_being_cancelled_is_survived(self: Any) -> None:
        for operation in (self.read, self.write, self.list, self.stat):
            deferred = operation(b"file")
            deferred.addErrback(lambda failure: None)
            deferred.cancel()
            await deferred
        await self.write(b"file", b"after")
        self.assertEqual((await self.read(b"file")).content, b"after")
