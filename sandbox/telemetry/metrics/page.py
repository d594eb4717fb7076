"""The page that Prometheus reads, put together when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

Source = Callable[[], Iterable[Metric]]


class Page(Collector):
    """The metrics of one daemon, in a registry of its own.

    Making it takes a few milliseconds of the reactor's time, and one more for each thousand descriptors that are open.
    The only files that it reads are those of ``/proc/self``, which are the kernel's memory.
    """

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def add(self, source: Source) -> None:
        """Have what ``source`` gives on the page from now on."""
        self._sources.append(source)

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is is known when it is asked for, and nobody else uses the registry."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All there is now."""
        for source in self._sources:
            yield from source()

    def render(self) -> tuple[bytes, bytes]:
        """The page and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
