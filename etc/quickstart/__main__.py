"""``./quickstart`` once Python is there: engine, image, daemon, tour, in this order; taken down in the other."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from quickstart import daemon, engine, image, tour
from quickstart.console import Console, Failed

STATE = Path(__file__).parents[2] / ".quickstart"


def main(arguments: list[str]) -> int:
    """The tour as a command; its exit status."""
    parser = argparse.ArgumentParser(prog="quickstart")
    parser.add_argument("--check", action="store_true", help="verify everything, tear down, exit 0 or say what failed")
    parser.add_argument("--keep", action="store_true", help="leave what was made running")
    options = parser.parse_args(arguments)
    # Whoever ends the tour, it takes down what it made.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    STATE.mkdir(mode=0o700, exist_ok=True)
    console = Console()
    try:
        run(console, STATE, check=options.check, keep=options.keep)
    except Failed as reason:
        console.show(f"\nquickstart: {reason}")
        return 1
    except KeyboardInterrupt:
        console.show("\nquickstart: interrupted")
        return 130
    return 0


def run(console: Console, state: Path, *, check: bool, keep: bool) -> None:
    """The whole tour.

    :param check: verify everything and end, instead of staying in the foreground until Ctrl-C.
    :param keep: leave what was made.
    :raises Failed: when something is not as it should be.
    """
    began = time.monotonic()
    with ExitStack() as undo:
        try:
            docker = engine.ensure(os.environ, console, state / "dockerd.log")
            undo.callback(docker.stop)
            name = os.environ.get("SESSION_IMAGE") or image.DEFAULT_IMAGE
            image.SessionImage(docker.url, name, console, os.environ, state).ensure()
            server = daemon.start(os.environ, docker.url, state, console)
            undo.callback(server.stop)
            visit = tour.Tour(server.wire, tour.session_id(state), console)
            undo.callback(_remove, visit, console)
            visit.begin()
            if check:
                visit.verify()
                if not keep:
                    _check_the_end(visit, server, console)
                console.show(f"\nEverything answered as it should, in {time.monotonic() - began:.1f} s.")
            else:
                _invite(visit, server, console, time.monotonic() - began)
                _stay(server, console)
        finally:
            # Taking down is short and has to be whole: a second Ctrl-C does not cut it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if keep:
                undo.pop_all()
    if keep:
        left = [("the daemon", server.process), ("dockerd", docker.process)]
        for what, process in left:
            if process is not None:
                console.show(f"{what} runs on; to end it: kill {process.pid}")


def _check_the_end(visit: tour.Tour, server: daemon.Daemon, console: Console) -> None:
    visit.verify_end()
    code = server.stop()
    # twistd shuts down and then ends by the signal that asked it to, so that its parent knows.
    if code not in (None, 0, -signal.SIGTERM):
        raise Failed(f"The daemon ended with exit code {code} after SIGTERM:\n{server.last_lines()}")
    if "Traceback" in server.log.read_text(errors="replace"):
        raise Failed(f"Something went wrong inside the daemon; see {server.log}")
    console.done("the daemon ends cleanly, with nothing unforeseen in its log")


def _remove(visit: tour.Tour, console: Console) -> None:
    try:
        visit.end()
    except Failed as reason:
        console.show(f"    the session could not be removed: {reason}")


def _invite(visit: tour.Tour, server: daemon.Daemon, console: Console, seconds: float) -> None:
    console.show(f"\nReady after {seconds:.1f} s. Open the page of the application in the session:\n")
    for url in visit.urls:
        console.show(f"  {url}")
    console.show("\nTry next:\n")
    key, here = server.wire.key_file, Path.cwd()
    key = key.relative_to(here) if key.is_relative_to(here) else key
    for purpose, call in visit.suggestions():
        console.show(f"  # {purpose}\n  {call.curl(server.wire.url, key)}")
    console.show("\nThe daemon's log follows; Ctrl-C ends the tour.\n")


def _stay(server: daemon.Daemon, console: Console) -> None:
    try:
        for line in server.lines():
            console.show(line)
    except KeyboardInterrupt:
        console.show("\n==> Ending the tour")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
