"""The metrics page, rendered on each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

Source = Callable[[], Iterable[Metric]]


class Page(Collector):
    """The metrics of one daemon, in its own registry.

    Rendering takes a few milliseconds of the reactor's time, and one more per thousand open descriptors. It reads files
    of ``/proc/self`` only, which do not block.
    """

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def add(self, source: Source) -> None:
        """Add a source of metrics to the page."""
        self._sources.append(source)

    def describe(self) -> Iterator[Metric]:
        """Nothing: metrics are known on each scrape only, and the registry has no other collector to conflict with."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The current metrics of all sources."""
        for source in self._sources:
            yield from source()

    def render(self) -> tuple[bytes, bytes]:
        """Render the page; returns its body and media type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
