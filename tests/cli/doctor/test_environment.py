"""``sandbox.cli.doctor.environment``: the daemon's variables."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.cli.doctor.environment import read_environment_file


class EnvironmentFiles(SynchronousTestCase):
    def test_environment_files_are_read_as_systemd_does(self) -> None:
        path = Path(self.mktemp())
        path.write_text("# c\n; c\n\nA=b c\n B='d e'\nC=\"f # g\"\nD=\nE=a=b\n")
        self.assertEqual(
            {name: each.value for name, each in read_environment_file(path).items()},
            {"A": "b c", "B": "d e", "C": "f # g", "D": "", "E": "a=b"},
        )
        for text in ("A", "=b", "a-b=c", "A='b", "A='b' c"):
            path.write_text(text)
            self.assertRaises(ValueError, read_environment_file, path)
