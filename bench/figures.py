"""What is said about measured values: medians, spreads, ratios, percentiles. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen
class Spread:
    """The median of some rounds, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value.

        >>> Spread.of([3, 1, 2])
        Spread(median=2, least=1, most=3)
        """
        return cls(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Spread | None:
    """Ours divided by theirs, round by round: what disturbs a whole round leaves its ratio alone.

    ``None`` when there is no round in which both were measured.

    >>> ratios([10, 30], [5, 10])
    Spread(median=2.5, least=2.0, most=3.0)
    """
    pairs = zip(ours, theirs, strict=True)
    quotients = [our / their for our, their in pairs if our is not None and their]
    return Spread.of(quotients) if quotients else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed (nearest rank).

    :param ordered: in ascending order, at least one.

    >>> percentile([1, 2, 3, 4], 0.5)
    2
    """
    # The product is rounded first: 0.999 * 1000 is a little more than 999 in floating point.
    rank = math.ceil(round(share * len(ordered), 6))
    return ordered[max(rank, 1) - 1]


def latencies(microseconds: Sequence[int]) -> dict[str, float]:
    """Median, p99 and p99.9 in milliseconds."""
    ordered = sorted(microseconds)
    return {name: percentile(ordered, share) / 1000 for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def amount(value: float) -> str:
    """A number with three significant digits at most before they would be rounded away, thousands separated.

    >>> [amount(value) for value in (0.01234, 1.5, 43.21, 1234.5)]
    ['0.0123', '1.50', '43.2', '1,234']
    """
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
