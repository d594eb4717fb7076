"""``sandbox.runtimes.docker.workspaces``: who owns a new workspace."""

from __future__ import annotations

import doctest
import io
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from sandbox.runtimes.docker import workspaces
from sandbox.runtimes.docker.workspaces import (
    Owner,
    directory_archive,
    is_root,
    needs_database,
    owner_of,
    single_file,
)

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment, and an empty line

app:x:1000:1001:An App:/home/app:/bin/sh
broken:x:twelve:1:::
short:x
1234:x:77:78::/:/bin/sh
"""
GROUP = "root:x:0:\napp:x:1001:\nstaff:x:50:app,other\nbroken:x:\n"


class OwnerTests(SynchronousTestCase):
    """``Config.User`` in all its forms."""

    def test_the_docstrings_examples_hold(self) -> None:
        self.assertEqual(doctest.testmod(workspaces).failed, 0)

    def test_forms(self) -> None:
        expected = {
            "app": Owner(1000, 1001),
            "1000": Owner(1000, 1001),
            "app:staff": Owner(1000, 50),
            "app:50": Owner(1000, 50),
            "app:4711": Owner(1000, 4711),
            "4711": Owner(4711, 0),
            "4711:4712": Owner(4711, 4712),
            "4711:staff": Owner(4711, 50),
            "1234": Owner(77, 78),  # a name that looks like a number comes first, as in the engine
        }
        for user, owner in expected.items():
            self.assertEqual(owner_of(user, PASSWD, GROUP), owner, user)

    def test_unknown_names_have_no_numbers(self) -> None:
        for user in ("nobody", "broken", "short", "app:nobody", "-1"):
            self.assertIsNone(owner_of(user, PASSWD, GROUP), user)

    def test_numbers_without_a_database(self) -> None:
        self.assertEqual(owner_of("1:2", "", ""), Owner(1, 2))
        self.assertEqual(owner_of("1", "", ""), Owner(1, 0))

    def test_root_needs_nothing(self) -> None:
        self.assertEqual([is_root(user) for user in ("", "0", "root", "0:0", "root:staff")], [True] * 5)
        self.assertEqual([is_root(user) for user in ("app", "1000", "00x")], [False] * 3)

    def test_when_the_database_is_needed(self) -> None:
        self.assertEqual([needs_database(user) for user in ("1:2", "1", "app", "app:1", "1:app")], [False] + [True] * 4)


class ArchiveTests(SynchronousTestCase):
    """Archives to and from the engine."""

    def test_a_directory_of_an_owner_uncompressed(self) -> None:
        archive = directory_archive("workspace", Owner(1000, 1001))
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            (entry,) = tar.getmembers()
        self.assertEqual((entry.name, entry.isdir(), entry.mode), ("workspace", True, 0o755))
        self.assertEqual((entry.uid, entry.gid), (1000, 1001))
        # CVE-2026-41567: neither gzip, bzip2, xz nor zstd, so that no program of the container's unpacks it.
        self.assertEqual(archive[:9], b"workspace")

    def test_the_text_of_a_file(self) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            entry = tarfile.TarInfo("passwd")
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"a:\xff\n"))
        self.assertEqual(single_file(stream.getvalue()), "a:\ufffd\n")

    def test_what_is_no_file_has_no_text(self) -> None:
        self.assertEqual(single_file(directory_archive("passwd", Owner(0, 0))), "")
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            link = tarfile.TarInfo("passwd")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
            tar.addfile(link)
        self.assertEqual(single_file(stream.getvalue()), "")
