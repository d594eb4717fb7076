"""Everything side by side: ``bench/run`` prepares what this needs and calls it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from bench import machine
from bench.measurement import Failed, Result, Scale, Workload, measure
from bench.peers import Peer
from bench.peers.gateway import BEFORE, GATEWAYS
from bench.peers.native import NATIVE
from bench.peers.nodes import install_packages, node_peers, nodes
from bench.peers.stock import STOCK
from bench.processes import LOAD
from bench.report.files import PAGES, record, report, write
from bench.report.lines import shown
from bench.stage import Stage
from bench.workloads.crowd import CROWD
from bench.workloads.engine import ENGINE
from bench.workloads.hostile import HOSTILE
from bench.workloads.http import HTTP
from bench.workloads.scale import SCALE
from bench.workloads.transfers import TRANSFERS
from bench.workloads.websockets import WEBSOCKETS

ROOT = Path(__file__).parents[1]
STATE = ROOT / ".bench"
WORKLOADS = (*HTTP, *CROWD, *TRANSFERS, *WEBSOCKETS, *ENGINE, *SCALE, *HOSTILE)
#: Subjects that are no peers.
NAMES = {"direct": "without a proxy", "api": "this API", "docker-py": "docker-py", "docker-cli": "docker command"}
#: Workloads that compare with an earlier commit.
BEFORE_AFTER = ("http-100b", "http-heads", "echo-64", "exec-1b")
FULL = Scale(rounds=5, seconds=1.0, quick=False)
QUICK = Scale(rounds=1, seconds=0.2, quick=True)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure the daemon beside what else could be used.")
    parser.add_argument("--quick", action="store_true", help="only see that everything works: one short round")
    parser.add_argument("--rounds", type=int, help=f"rounds of each workload (default {FULL.rounds})")
    parser.add_argument("--only", action="append", metavar="NAME", help="what has this in its name; repeatable")
    parser.add_argument("--list", action="store_true", help="show the workloads, and how long each takes")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIRECTORY",
        help="where results and report go (default: bench/results and docs/performance, of all workloads or of all "
        "hostile ones; else .bench/latest)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="CHECKOUT",
        help="compare with the daemon of another commit, and nothing else; results in .bench/latest",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="only write the report of an earlier run anew")
    return parser.parse_args(arguments)


def choose(asked: argparse.Namespace) -> list[Workload]:
    """What is to be run: all that belongs to a whole run, or what is named."""
    if asked.before:
        # The load reaches either of them the same way, in turn.
        return [
            attrs.evolve(each, subjects=(each.ours, BEFORE.name), compared=True, rounds=None)
            for each in WORKLOADS
            if each.ours in each.subjects and any(name in each.name for name in asked.only or BEFORE_AFTER)
        ]
    if not asked.only:
        return [each for each in WORKLOADS if (each.whole_quick if asked.quick else each.whole)]
    return [each for each in WORKLOADS if any(name in each.name for name in asked.only)]


def seconds(workload: Workload, scale: Scale, subjects: Sequence[str]) -> float:
    """How long a workload will take."""
    quick = workload.quick or workload.seconds * 0.3
    return (quick if scale.quick else workload.seconds) * workload.rounds_of(scale) * len(subjects)


def perform(
    chosen: Sequence[Workload],
    scale: Scale,
    peers: dict[str, Peer],
    scratch: Path,
    results: list[Result],
    *,
    before: Path | None = None,
) -> None:
    """Run what was chosen, and say so.

    :param results: gets each as soon as it is there.
    :param before: checkout of an earlier commit to compare with.
    """
    with Stage(scratch, peers, 0 if scale.quick else 1.0, before) as stage:
        for number, workload in enumerate(chosen, 1):
            subjects = present(workload, peers)
            expected = seconds(workload, scale, subjects)
            print(f"\n[{number}/{len(chosen)}] {workload.title} ({workload.name}), about {expected:.0f} s", flush=True)
            result = measure(workload, stage, scale, subjects)
            print("\n".join(shown(result)), f"    {result.seconds:.1f} s", sep="\n", flush=True)
            results.append(result)


def present(workload: Workload, peers: dict[str, Peer]) -> list[str]:
    """The subjects that can be measured here: another node than the machine's is there only when it has one."""
    return [subject for subject in workload.subjects if subject != "hpm-newer" or subject in peers]


def main(arguments: Sequence[str]) -> int:
    """Run; gives the exit status: 1 when anything could not be measured."""
    asked = options(arguments)
    if asked.report:
        run = json.loads(asked.report.read_text())
        report(run, asked.output or PAGES, asked.report.name)
        return 0
    scale = QUICK if asked.quick else FULL
    scale = Scale(asked.rounds or scale.rounds, scale.seconds, scale.quick)
    chosen = choose(asked)
    if not chosen:
        raise Failed("no workload has that in its name; see bench/run --list")
    found = nodes()
    peers = {peer.name: peer for peer in (*NATIVE, STOCK, *GATEWAYS, BEFORE, *node_peers(found, STATE / "node"))}
    expected = sum(seconds(each, scale, present(each, peers)) for each in chosen) + (5 if scale.quick else 60)
    if asked.list:
        for each in chosen:
            print(f"{seconds(each, scale, present(each, peers)):6.0f} s  {each.name:18} {each.title}")
        print(f"{expected:6.0f} s  in all")
        return 0
    began = time.monotonic()
    facts = machine.facts(found)
    install_packages(STATE / "node")
    os.sched_setaffinity(0, {LOAD})
    print(f"{len(chosen)} workloads, {scale.rounds} rounds, about {expected / 60:.1f} minutes", flush=True)
    results: list[Result] = []
    whole = False
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            Path(name).chmod(0o755)
            before = asked.before.resolve() if asked.before else None
            perform(chosen, scale, peers, Path(name), results, before=before)
        whole = not asked.quick and any(chosen == list(each) for each in (choose(options([])), HOSTILE))
    finally:
        # What was measured before something went wrong is not lost.
        facts["took"] = f"{(time.monotonic() - began) / 60:.1f} minutes"
        run = record(results, facts, NAMES | {peer.name: peer.title for peer in peers.values()}, scale)
        for path in write(run, asked.output or (None if whole else STATE / "latest")):
            print(f"wrote {path}")
    failures = [f"{each.workload.name}: {subject}: {why}" for each in results for subject, why in each.failures.items()]
    print(f"took {facts['took']}; expected were {expected / 60:.1f} minutes")
    print("\n".join(failures) or "everything was measured")
    return 1 if failures else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted: everything that was started has been ended")
    except Failed as error:
        sys.exit(f"bench: {error}")
