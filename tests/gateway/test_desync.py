"""The short form of hostile messages; the long one is run by hand: ``python -m tests.gateway.desync 1000000``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.desync import Desync


class Hostility(SynchronousTestCase):
    """Whatever clients and applications send, nobody reads it in another way than the gateway did."""

    def test_what_goes_up_was_said_and_each_answer_is_its_own_requests(self) -> None:
        run = Desync(seed=1)
        run.run(10_000)
        for outcome in ("400", "200, 200", "404, 200", "200, 400", "502, 200"):
            self.assertGreater(run.outcomes[outcome], 0, outcome)
