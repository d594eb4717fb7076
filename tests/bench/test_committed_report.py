"""The tables and plots of the documentation are those of one run, whose values are beside them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from bench.report.files import RESULTS, report

pytestmark = pytest.mark.integration


class Committed(SynchronousTestCase):
    def test_committed_report_is_that_of_the_committed_run(self) -> None:
        folder = Path(self.mktemp())
        written: set[str] = set()
        newest_of_each = [sorted(RESULTS.glob(kind))[-1:] for kind in ("2*.json", "hostile-*.json")]
        for newest in itertools.chain(*newest_of_each):
            written |= {path.name for path in report(json.loads(newest.read_text()), folder, newest.name)}
        committed = RESULTS.parents[1] / "docs" / "performance"
        self.assertEqual({path.name for path in committed.iterdir()}, written)
        for name in sorted(written):
            if name.endswith(".md"):
                self.assertEqual((folder / name).read_text(), (committed / name).read_text())
