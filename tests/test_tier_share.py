"""The unit tier is most of the tests."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.tiers import ROOT, outside

# It collects every test, and so imports what all of them need.
pytestmark = pytest.mark.integration

#: How much of all tests the unit tier has at least, in hundredths.
SHARE = 65


class Share(SynchronousTestCase):
    def test_the_unit_tier_has_most_of_the_tests(self) -> None:
        command = [sys.executable, "-P", "-m", "pytest", "--collect-only", "-q", "-n", "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        files = Counter(line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line)
        unit = sum(number for file, number in files.items() if outside(ROOT / file) is None)
        self.assertGreaterEqual(100 * unit, SHARE * files.total(), f"{unit} of {files.total()}")
