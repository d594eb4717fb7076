"""``sandbox.runtimes.docker.workspaces``: archives that change a workspace's owner."""

from __future__ import annotations

import io
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from sandbox.runtimes.docker.workspaces import directory_archive, is_root


class WorkspacesTests(SynchronousTestCase):
    """What needs no engine."""

    def test_root_needs_nothing(self) -> None:
        self.assertEqual([is_root(user) for user in ("", "0", "root", "0:0", "root:staff")], [True] * 5)
        self.assertEqual([is_root(user) for user in ("app", "1000", "00x")], [False] * 3)

    def test_a_directory_of_an_owner_uncompressed(self) -> None:
        archive = directory_archive("workspace", 0o755, 1000, 1001)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            (entry,) = tar.getmembers()
        self.assertEqual((entry.name, entry.isdir(), entry.mode), ("workspace", True, 0o755))
        self.assertEqual((entry.uid, entry.gid), (1000, 1001))
        # CVE-2026-41567: neither gzip, bzip2, xz nor zstd, so that no program of the container's unpacks it.
        self.assertEqual(archive[:9], b"workspace")
