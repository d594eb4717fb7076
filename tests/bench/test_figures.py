"""Medians, ratios and percentiles."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bench import figures
from bench.figures import Spread, latencies, percentile, ratios


class Figures(SynchronousTestCase):
    def test_examples(self) -> None:
        """Those in the docstrings hold."""
        found = doctest.testmod(figures)
        self.assertEqual(found.failed, 0)
        self.assertGreater(found.attempted, 3)

    def test_ratio_is_taken_round_by_round(self) -> None:
        """A round in which everything is half as fast changes no ratio; the ratio of the medians would be 1.5."""
        self.assertEqual(ratios([10, 20, 30], [5, 20, 10]), Spread(2, 1, 3))
        self.assertEqual(ratios([8, 4, 8], [4, 2, 4]), Spread(2, 2, 2))

    def test_rounds_that_one_side_lacks_are_left_out(self) -> None:
        self.assertEqual(ratios([4, None, 9], [2, 5, None]), Spread(2, 2, 2))
        self.assertIsNone(ratios([None], [1]))
        self.assertIsNone(ratios([1], [0]))

    def test_percentiles_are_values_that_were_measured(self) -> None:
        """Nearest rank: of 1000 values, p99.9 is the second largest, not a mixture of two."""
        ordered = list(range(1, 1001))
        self.assertEqual([percentile(ordered, share) for share in (0, 0.5, 0.99, 0.999, 1)], [1, 500, 990, 999, 1000])

    @given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0, 1))
    def test_percentile_is_not_exceeded_by_its_share(self, values: list[int], share: float) -> None:
        ordered = sorted(values)
        found = percentile(ordered, share)
        self.assertIn(found, ordered)
        self.assertGreaterEqual(sum(value <= found for value in ordered) + 1e-3, share * len(ordered))

    def test_latencies_are_milliseconds_of_unordered_microseconds(self) -> None:
        self.assertEqual(latencies([3000, 1000, 2000]), {"p50": 2.0, "p99": 3.0, "p99.9": 3.0})
