"""What hostile peers cost a neighbour: :data:`HOSTILE`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.figures import percentile
from bench.load.attacks import ATTACKS, SESSION, Attack
from bench.load.watchdog import Watchdog
from bench.measurement import Metric, Scale, Workload
from bench.peers import Place
from bench.peers.gateway import ACCESS, daemon, let_in, register
from bench.processes import LOAD, free_port, peak, reset_peak, run, running
from bench.stage import Stage

#: How many hostile connections.
LEVELS = (1, 16, 64, 256)
#: Of a quick run.
_QUICK = 16
_ALONE = "alone"
_ROOT = Path(__file__).parents[2]
_ATTACKS = {attack.name: attack for attack in ATTACKS}


def _neighbour(port: int, seconds: float, path: str, fields: list[str]) -> Mapping[str, float]:
    command = [sys.executable, "-m", "bench.load.neighbour", str(port), str(seconds), path, *fields]
    health, preview = map(json.loads, run(command, timeout=seconds + 30, directory=_ROOT).splitlines())
    both = sorted(health["latencies"] + preview["latencies"])
    return {
        "p50": percentile(both, 0.5) / 1000,
        "p99-health": percentile(sorted(health["latencies"]), 0.99) / 1000,
        "p99-preview": percentile(sorted(preview["latencies"]), 0.99) / 1000,
        "failed": (health["failed"] + preview["failed"]) / len(both) * 100,
    }


@contextmanager
def _application(stage: Stage, attack: Attack, seconds: float) -> Iterator[int]:
    """The attacked session's application; gives its port."""
    if attack.application is not None:
        with stage.hostile.application(seconds, attack.application) as port:
            yield port
    elif attack.slow:
        port = free_port()
        command = [sys.executable, "-m", "bench.load.slow", str(port), str(attack.slow)]
        with running(command, core=LOAD, log=stage.scratch / "slow.log", port=port, directory=_ROOT):
            yield port
    else:
        yield stage.routes[SESSION]


@contextmanager
def _place(stage: Stage, attack: Attack | None, connections: int) -> Iterator[Place]:
    """Where the daemon is started: some attacks need an engine of their own."""
    if attack is None or not attack.engine:
        yield stage.place
        return
    with stage.engine(len(stage.routes) + connections, options=attack.engine) as engine:
        yield Place(stage.scratch, stage.routes, engine)


@contextmanager
def _attacked(stage: Stage, attack: Attack, port: int, connections: int, seconds: float) -> Iterator[None]:
    """The attack, from now on and for so long."""
    with ExitStack() as stack:
        register(port, {SESSION: stack.enter_context(_application(stage, attack, seconds))})
        if attack.client is None:
            yield
            return
        crew = stack.enter_context(stage.hostile.clients(port, connections, seconds, attack.client))
        yield
        crew.done()


def _among(connections: int, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    attack = _ATTACKS.get(subject)
    seconds, lead = scale.size(80, 5) / 10, scale.size(10, 3) / 10
    if attack is not None:
        connections = min(connections, attack.most)
    access = attack is not None and attack.access
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog(stage.scratch / "notify"))
        # It is ended in the middle of the attack's rest.
        settings = {**(ACCESS if access else {}), **watchdog.environment, "DRAIN_SECONDS": "0"}
        place = stack.enter_context(_place(stage, attack, connections))
        pid, port, state = stack.enter_context(daemon(place, settings))
        fields = let_in(state, stage.routes) if access else []
        register(port, {"bench": stage.routes["bench"]})
        reset_peak(pid)
        begin = time.monotonic()
        before = peak(pid)
        if attack is not None:
            stack.enter_context(_attacked(stage, attack, port, connections, lead + seconds + 0.5))
            time.sleep(lead)
        session = SESSION if attack is not None and attack.slow else "bench"
        found = _neighbour(port, seconds, f"/previews/{session}/small", fields)
        silence = watchdog.silence(begin, time.monotonic())
        return {**found, "silence": silence * 1000, "memory": (peak(pid) - before) / 1e6}


def _workload(connections: int) -> Workload:
    return Workload(
        name=f"hostile-{connections}",
        group="hostile",
        title=f"{connections} hostile connection{'s' if connections > 1 else ''}",
        about="A neighbour, a process of its own, opens a new connection each 20 ms for /healthz and one for a "
        "preview: alone, and while so many peers attack.",
        subjects=(_ALONE, *_ATTACKS),
        metrics=(
            Metric("p50", "p50 ms"),
            Metric("p99-health", "p99 ms, /healthz"),
            Metric("p99-preview", "p99 ms, preview"),
            Metric("failed", "% refused"),
            Metric("silence", "longest silence, ms"),
            Metric("memory", "MB more at the peak"),
        ),
        measure=partial(_among, connections),
        seconds=11.0,
        quick=2.8,
        ours=_ALONE,
        compared=False,
        whole=False,
        whole_quick=connections == _QUICK,
    )


HOSTILE = tuple(map(_workload, LEVELS))
