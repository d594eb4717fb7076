"""The daemon as it is shipped, with one rule lifted: ``python -m bench.daemon``, its settings from the environment.

A container's address must not be one of the daemon's own machine. Here it is the loopback address, because that is the
only place where load may go. And it looks at its reactor's lag a hundred times a second instead of twice, so that some
seconds are enough to tell how large it gets.

With ``BENCH_COUNTS`` in the environment, SIGUSR2 has it write to that file, as JSON, what it holds; with
``BENCH_TRACE``, too, also how many bytes CPython has allocated since the first time, which makes it slow from then on.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tracemalloc
from pathlib import Path

from twisted.scripts.twistd import run

from sandbox.runtimes.docker import inspection
from sandbox.telemetry.metrics import lag


def _any(text: str) -> bool:
    return True


def _count(*_: object) -> None:
    collections = sum(each["collections"] for each in gc.get_stats())
    gc.collect()
    found = sum(each["collected"] for each in gc.get_stats())
    counts = {
        "blocks": sys.getallocatedblocks(),
        "bytes": tracemalloc.get_traced_memory()[0],
        "collections": collections,
        "cyclic": found,
        "frozen": gc.get_freeze_count(),
    }
    if "BENCH_TRACE" in os.environ and not tracemalloc.is_tracing():
        tracemalloc.start()
    path = Path(os.environ["BENCH_COUNTS"])
    path.with_suffix(".new").write_text(json.dumps(counts))
    path.with_suffix(".new").rename(path)


if __name__ == "__main__":
    assert not inspection._usable("127.0.0.1"), "the rule that is lifted here is another one by now"
    inspection._usable = _any
    lag.INTERVAL = 0.01
    if "BENCH_COUNTS" in os.environ:
        signal.signal(signal.SIGUSR2, _count)
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "sandbox"]
    run()
