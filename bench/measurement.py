"""What is measured, and in which order: each workload's subjects in turn, A B C A B C …, for so many rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from bench.stage import Stage


class Failed(Exception):
    """A subject could not do what was asked of it; the message says what happened."""


@attrs.frozen
class Metric:
    """One figure of a workload.

    :ivar title: with its unit, as a table shows it.
    :ivar more_is_better: whether more is better.
    """

    name: str
    title: str
    more_is_better: bool = False


@attrs.frozen
class Scale:
    """How much is done.

    :ivar rounds: of each workload.
    :ivar seconds: one run of a load lasts.
    :ivar quick: whether it is only to be seen that everything works.
    """

    rounds: int
    seconds: float
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """A count of things: so many, or so few when it is only to be seen that it works."""
        return quick if self.quick else full


#: One run of one subject; a value for each metric.
Measure = Callable[["Stage", str, Scale], Mapping[str, float]]


@attrs.frozen(kw_only=True)
class Workload:
    """One comparison.

    :ivar group: the heading of its table: ``"http"``, ``"websockets"``, ``"engine"``, ``"scale"`` or ``"hostile"``.
    :ivar about: what is driven and what is measured, in one sentence.
    :ivar subjects: who does it, in the order of each round.
    :ivar ours: the subject that the others are compared with.
    :ivar seconds: that such a run takes at full scale, to tell beforehand how long everything takes.
    :ivar quick: the same of a quick run; none: three tenths of it.
    :ivar rounds: at most, for what is the same each time and takes long; none: as many as asked for.
    :ivar compared: whether the table has ratios of ours to the others, round by round.
    :ivar whole: whether it is part of a whole run at full scale; otherwise it is run only when it is named.
    :ivar whole_quick: the same of a whole quick run.
    """

    name: str
    group: str
    title: str
    about: str
    subjects: Sequence[str]
    metrics: Sequence[Metric]
    measure: Measure
    seconds: float
    ours: str = "gateway"
    quick: float | None = None
    rounds: int | None = None
    compared: bool = True
    whole: bool = True
    whole_quick: bool = True

    def rounds_of(self, scale: Scale) -> int:
        """How often each subject is measured."""
        return min(scale.rounds, self.rounds or scale.rounds)


@attrs.frozen
class Result:
    """A workload's values: by metric, by subject, one a round; ``None`` where a round failed.

    :ivar failures: the first thing that went wrong, by subject.
    """

    workload: Workload
    values: Mapping[str, Mapping[str, Sequence[float | None]]]
    failures: Mapping[str, str]
    seconds: float


def measure(workload: Workload, stage: Stage, scale: Scale, subjects: Sequence[str]) -> Result:
    """Run all rounds. A subject that fails is left out of the rounds that follow.

    :param subjects: those of the workload's that are there.
    """
    began = time.monotonic()
    values: dict[str, dict[str, list[float | None]]] = {
        metric.name: {subject: [] for subject in subjects} for metric in workload.metrics
    }
    failures: dict[str, str] = {}
    for _ in range(workload.rounds_of(scale)):
        for subject in subjects:
            found: Mapping[str, float] = {}
            if subject not in failures:
                try:
                    found = workload.measure(stage, subject, scale)
                except (Failed, OSError) as error:
                    failures[subject] = f"{type(error).__name__}: {error}"[:300]
            for metric in workload.metrics:
                values[metric.name][subject].append(found.get(metric.name))
    return Result(workload, values, failures, time.monotonic() - began)
