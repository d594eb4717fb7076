"""Plain counts become Prometheus's text, for each daemon its own."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.instruments import Histogram
from sandbox.scheduling.scheduler import Scheduler
from sandbox.telemetry.metrics.families import counter, gauge, histogram
from sandbox.telemetry.metrics.lag import INTERVAL, Lag
from sandbox.telemetry.metrics.page import Page


class Pages(SynchronousTestCase):
    def samples(self, page: Page, name: str) -> dict[tuple[str, ...], float]:
        """A family's samples by what tells them apart."""
        text, media_type = page.render()
        self.assertTrue(media_type.startswith(b"text/plain; version=0.0.4"))
        (family,) = [each for each in text_string_to_metric_families(text.decode()) if each.name == name]
        return {(each.name, *each.labels.values()): each.value for each in family.samples}

    def test_sources_are_asked_when_the_page_is_read(self) -> None:
        page, count = Page(), {("a",): 1.0}
        page.add(lambda: [counter("sandbox_x", "Help.", count, ("kind",))])
        count["b",] = 2.0
        self.assertEqual(self.samples(page, "sandbox_x"), {("sandbox_x_total", "a"): 1, ("sandbox_x_total", "b"): 2})

    def test_a_histogram_is_cumulative_and_its_last_bucket_is_all(self) -> None:
        durations = Histogram((0.1, 1.0))
        for seconds in (0.05, 0.1, 0.5, 7.0):
            durations.add(seconds)
        page = Page()
        page.add(lambda: [histogram("sandbox_x_seconds", "Help.", {(): durations})])
        self.assertEqual(
            self.samples(page, "sandbox_x_seconds"),
            {
                ("sandbox_x_seconds_bucket", "0.1"): 2,
                ("sandbox_x_seconds_bucket", "1.0"): 3,
                ("sandbox_x_seconds_bucket", "+Inf"): 4,
                ("sandbox_x_seconds_count",): 4,
                ("sandbox_x_seconds_sum",): 7.65,
            },
        )

    def test_two_daemons_in_a_process_have_nothing_in_common(self) -> None:
        first, second = Page(), Page()
        for page, value in ((first, 1), (second, 2)):
            page.add(lambda value=value: [gauge("sandbox_x", "Help.", value)])
        self.assertEqual(self.samples(first, "sandbox_x"), {("sandbox_x",): 1})
        self.assertEqual(self.samples(second, "sandbox_x"), {("sandbox_x",): 2})

    def test_what_others_name_cannot_break_the_text(self) -> None:
        page, name = Page(), 'a"b\\c\nd'
        page.add(lambda: [gauge("sandbox_x", "Help\nof it.", {(name,): 1}, ("kind",))])
        self.assertEqual(self.samples(page, "sandbox_x"), {("sandbox_x", name): 1})


class Lags(SynchronousTestCase):
    def test_it_counts_how_late_it_was_again_and_again(self) -> None:
        clock = Clock()
        lag = Lag()
        lag.start(Scheduler(clock))
        for late in (0, 0, 3):
            clock.advance(INTERVAL + late)
        self.assertEqual((sum(lag.durations.counts), lag.durations.total), (3, 3))
