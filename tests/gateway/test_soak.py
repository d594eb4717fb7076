"""The short form of the soak; the long one is run by hand: ``python -m tests.gateway.soak 200000``."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.gateway.soak import soak


class Soaking(TestCase):
    """Mixed requests, random aborts."""

    timeout = 240

    async def test_nothing_is_left_and_no_answer_is_anothers(self) -> None:
        run, left = await soak(5000)
        self.assertEqual(run.wrong, [])
        self.assertEqual({name: value for name, value in left.items() if value}, {})
        for outcome in ("200", "204", "400", "502", "broken off", "left"):
            self.assertGreater(run.outcomes[outcome], 0, outcome)
