"""A result as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Spread, amount, ratios
from bench.measurement import Result


def shown(result: Result) -> Iterator[str]:
    """Each metric's subjects: median, least and most, and the ratio of ours to it."""
    ours = result.workload.ours
    for metric in result.workload.metrics:
        values = result.values[metric.name]
        yield f"    {metric.title}"
        for subject, rounds in values.items():
            measured = [value for value in rounds if value is not None]
            if not measured:
                why = result.failures.get(subject, "not applicable")
                yield f"      {subject:16} {why.splitlines()[0][:90]}"
                continue
            spread = Spread.of(measured)
            line = f"      {subject:16} {amount(spread.median):>10}  ({amount(spread.least)} to {amount(spread.most)})"
            ratio = ratios(values[ours], rounds) if result.workload.compared and subject != ours else None
            yield line if ratio is None else f"{line}  {ours} / it: {amount(ratio.median)}"
