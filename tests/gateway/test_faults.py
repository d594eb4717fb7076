"""The short form of the faults; the long one is run by hand: ``python -m tests.gateway.faults 10000``."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.gateway.faults import Gateway
from tests.gateway.injection import CASES
from tests.waiting import pause


class Faults(TestCase):
    """Every way to end, at both sides, in every state."""

    timeout = 240

    async def test_nobody_hangs_nothing_is_left_and_no_cut_answer_looks_complete(self) -> None:
        await pause(0)  # The test's own timer begins when this first waits.
        gateway = Gateway(seed=1)
        await gateway.inject(range(3 * len(CASES)))
        left = await gateway.end()
        self.assertEqual(gateway.failures, [])
        self.assertEqual({name: value for name, value in left.items() if value}, {})
        self.assertEqual(gateway.injected, dict.fromkeys(CASES, 3))
        for outcome in ("200", "502", "cut", "left", "WebSocket ended", "WebSocket reset", "probe 200"):
            self.assertGreater(gateway.outcomes[outcome], 0, outcome)
