"""Prometheus metric families made of plain counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from sandbox.net.instruments import Histogram

Labels = tuple[str, ...]


def gauge(name: str, help: str, values: float | Mapping[Labels, float], labels: Sequence[str] = ()) -> Metric:
    """Make a gauge."""
    family = GaugeMetricFamily(name, help, labels=labels)
    for words, value in _by_labels(values).items():
        family.add_metric(words, value)
    return family


def counter(name: str, help: str, values: float | Mapping[Labels, float], labels: Sequence[str] = ()) -> Metric:
    """Make a counter; ``_total`` is appended to its name."""
    family = CounterMetricFamily(name, help, labels=labels)
    for words, value in _by_labels(values).items():
        family.add_metric(words, value)
    return family


def histogram(name: str, help: str, durations: Mapping[Labels, Histogram], labels: Sequence[str] = ()) -> Metric:
    """Make a histogram of durations."""
    family = HistogramMetricFamily(name, help, labels=labels)
    for words, each in durations.items():
        family.add_metric(words, _buckets(each), each.total)
    return family


def _by_labels(values: float | Mapping[Labels, float]) -> Mapping[Labels, float]:
    return values if isinstance(values, Mapping) else {(): values}


def _buckets(durations: Histogram) -> list[tuple[str, float]]:
    """Cumulative buckets, as Prometheus requires; the last one is unbounded."""
    found, below = [], 0
    bounds: Iterable[str] = (*map(str, durations.bounds), "+Inf")
    for bound, count in zip(bounds, durations.counts, strict=True):
        below += count
        found.append((bound, float(below)))
    return found
