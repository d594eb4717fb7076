"""Commands and files in one container: :data:`ENGINE`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import attrs

from bench.figures import percentile
from bench.hands import Hands
from bench.laboratory import Laboratory, laboratory
from bench.measurement import Failed, Measure, Metric, Scale, Workload
from bench.stage import Stage

#: Prepares what an operation on files needs, and gives the operation.
Prepare = Callable[[Hands], Callable[[], object]]

SUBJECTS = ("api", "docker-py", "docker-cli")
_SMALL, _LARGE = 1024, 8_000_000
_MEDIAN = (Metric("p50", "p50 ms"),)
_LATENCY = (Metric("p50", "p50 ms"), Metric("p99", "p99 ms"))


def _hands(stage: Stage, subject: str) -> Hands:
    return cast(Laboratory, stage.open("laboratory", partial(laboratory, stage.place))).hands[subject]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _spread(took: list[float]) -> Mapping[str, float]:
    took.sort()
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99)}


@attrs.frozen
class Commands:
    """How much output each command has, how many run at once, and how many in a round."""

    size: int
    at_once: int
    count: int


def _exec(commands: Commands, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    hands = _hands(stage, subject)
    size, at_once, count = commands.size, commands.at_once, commands.count
    script = f"head -c {size} /dev/zero | tr '\\000' x"

    def one(_: int) -> float:
        found: list[int] = []
        took = _timed(lambda: found.append(hands.execute(script)))
        if found != [size]:
            raise Failed(f"{found} bytes of output, not {size}")
        return took

    numbers = range(scale.size(count, min(count, at_once)))
    if at_once == 1:
        return _spread([one(number) for number in numbers])
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        took = list(threads.map(one, numbers))
    return {**_spread(took), "rate": len(took) / (time.perf_counter() - start)}


def _read(size: int, hands: Hands) -> Callable[[], object]:
    hands.write(f"read-{size}", b"x" * size)
    return lambda: hands.read(f"read-{size}")


def _write(size: int, hands: Hands) -> Callable[[], object]:
    return lambda: hands.write(f"write-{size}", b"x" * size)


def _stat(hands: Hands) -> Callable[[], object]:
    hands.write("stat", b"x")
    return lambda: hands.stat("stat")


def _list(entries: int, hands: Hands) -> Callable[[], object]:
    directory = f"list-{entries}"
    hands.execute(f"mkdir -p /workspace/{directory} && cd /workspace/{directory} && seq {entries} | xargs touch")
    return lambda: hands.list(directory)


def _file(prepare: Prepare, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    work = prepare(_hands(stage, subject))
    return {"p50": _spread([_timed(work) for _ in range(scale.size(7, 1))])["p50"]}


def _create(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    hands, made = _hands(stage, subject), []
    try:
        return {"p50": _timed(lambda: made.append(hands.create()))}
    finally:
        for name in made:
            hands.remove(name)


def _workload(name: str, title: str, about: str, measure: Measure, **more: Any) -> Workload:
    what = {"group": "engine", "subjects": SUBJECTS, "metrics": _LATENCY, "ours": "api", **more}
    return Workload(name=name, title=title, about=about, measure=measure, **what)


def _files(name: str, title: str, prepare: Prepare, seconds: float = 0.7) -> Workload:
    about = "API: the file endpoints; docker-py: the archive calls; docker: cat, stat or ls by exec. Medians of 7."
    return _workload(f"file-{name}", title, about, partial(_file, prepare), seconds=seconds, metrics=_MEDIAN)


_SCRIPT = "A shell that prints; 1 at a time, {count} in a round, so that p99 is the worst of them."

ENGINE = (
    _workload(
        "exec-1b",
        "Command, 1 byte of output",
        _SCRIPT.format(count=20),
        partial(_exec, Commands(1, 1, 20)),
        seconds=1.6,
    ),
    _workload(
        "exec-16",
        "Command, 16 at once",
        "64 commands in a round; commands a second, and each one's latency.",
        partial(_exec, Commands(1, 16, 64)),
        seconds=3.0,
        metrics=(*_LATENCY, Metric("rate", "commands/s", more_is_better=True)),
    ),
    _workload(
        "exec-1mb",
        "Command, 1 MB of output",
        _SCRIPT.format(count=5),
        partial(_exec, Commands(10**6, 1, 5)),
        seconds=0.7,
    ),
    _workload(
        "exec-100mb",
        "Command, 100 MB of output",
        "One in a round. EXEC_OUTPUT_LIMIT is raised to 128 MiB, so that all of it comes; by default 10 MiB are kept.",
        partial(_exec, Commands(10**8, 1, 1)),
        seconds=1.7,
        metrics=_MEDIAN,
    ),
    _files("read-small", "Read 1 KiB", partial(_read, _SMALL)),
    _files("read-large", "Read 8 MB", partial(_read, _LARGE), 1.0),
    _files("write-small", "Write 1 KiB", partial(_write, _SMALL)),
    _files("write-large", "Write 8 MB", partial(_write, _LARGE), 1.0),
    _files("stat", "Stat", _stat),
    _files("list-small", "List 10 entries", partial(_list, 10)),
    _files("list-large", "List 5,000 entries", partial(_list, 5000), 1.2),
    _workload(
        "create",
        "Create to first command",
        "A new container of the session image, until `true` has run in it; the API also makes volume, row and agent.",
        _create,
        seconds=1.8,
        metrics=_MEDIAN,
    ),
)
