"""F38: one budget of bytes for what all requests hold."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy.budget import STEP, Budget, Growth


class Budgets(SynchronousTestCase):
    def test_f38_shares_together_hold_no_more_than_there_is(self) -> None:
        budget = Budget(100)
        first, second = budget.share(), budget.share()
        self.assertTrue(first.take(60))
        self.assertFalse(second.take(41))
        self.assertTrue(second.take(40))
        self.assertEqual((budget.held, budget.refusals), (100, 1))

    def test_f38_a_closed_share_has_given_everything_back_and_gets_nothing(self) -> None:
        budget = Budget(100)
        share = budget.share()
        share.take(60)
        share.close()
        share.close()
        self.assertFalse(share.take(1))
        self.assertEqual((budget.held, budget.refusals), (0, 0))

    def test_f38_what_grows_draws_in_steps_beyond_what_was_reserved(self) -> None:
        budget = Budget(3 * STEP)
        share = budget.share()
        growth = Growth(share, STEP)
        self.assertTrue(growth.fits(STEP))
        self.assertEqual(budget.held, 0)
        self.assertTrue(growth.fits(STEP + 1))
        self.assertEqual(budget.held, STEP)
        self.assertTrue(growth.fits(4 * STEP))
        self.assertFalse(growth.fits(4 * STEP + 1))
        self.assertTrue(growth.fits(4 * STEP))
        self.assertEqual(budget.held, 3 * STEP)

    def test_without_a_share_nothing_limits_it(self) -> None:
        self.assertTrue(Growth(None).fits(1 << 40))
