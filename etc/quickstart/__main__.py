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
from quickstart.console import Console, Failed, Unread
from quickstart.processes import Process, recall
from quickstart.stop import stop

STATE = Path(__file__).parents[2] / ".quickstart"


def main(arguments: list[str]) -> int:
    """The tour as a command; its exit status."""
    parser = argparse.ArgumentParser(prog="quickstart")
    parser.add_argument("--check", action="store_true", help="verify everything, tear down, exit 0 or say what failed")
    parser.add_argument("--keep", action="store_true", help="leave what was made running")
    parser.add_argument("--stop", action="store_true", help="end what runs, and remove the session")
    options = parser.parse_args(arguments)
    # Whatever ends the tour, it takes down what it made.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    STATE.mkdir(mode=0o700, exist_ok=True)
    console = Console()
    try:
        if options.stop:
            stop(STATE, os.environ, console)
        else:
            run(console, STATE, check=options.check, keep=options.keep)
    except Failed as reason:
        console.show(f"\nquickstart: {reason}")
        return 1
    except KeyboardInterrupt:
        console.show("\nquickstart: interrupted")
        return 130
    except Unread:
        # As a shell tells that SIGPIPE ended a program.
        return 141
    return 0


def run(console: Console, state: Path, *, check: bool, keep: bool) -> None:
    """The whole tour.

    :param check: verify everything and end, instead of staying in the foreground until Ctrl-C.
    :param keep: leave what was made.
    :raises Failed: when something is not as it should be.
    """
    if (other := recall(state / tour.RECORD)) is not None:
        raise Failed(f"A tour runs from this checkout already (process {other.pid}). To end it:\n  ./quickstart --stop")
    began = _began()
    console.times["Python packages"] = time.time() - began
    kept = (state / tour.KEPT).exists()
    with ExitStack() as undo:
        if (this := Process.of(os.getpid())) is not None:
            this.write(state / tour.RECORD)
            undo.callback((state / tour.RECORD).unlink, missing_ok=True)
        try:
            with console.timed("Docker engine"):
                docker = engine.ensure(os.environ, console, state / "dockerd.log")
            undo.callback(docker.stop)
            with console.timed("session image"):
                name = os.environ.get("SESSION_IMAGE") or image.DEFAULT_IMAGE
                image.SessionImage(docker.url, name, console, os.environ, state).ensure()
            with console.timed("daemon"):
                server = daemon.start(os.environ, docker.url, state, console, kept=kept)
            undo.callback(server.stop)
            visit = tour.Tour(server.wire, tour.session_id(state, check=check and kept), console)
            with console.timed("session"):
                if kept and not check:
                    visit.resume()
                else:
                    undo.callback(_remove, visit, console)
                    visit.begin()
            if keep:
                (state / tour.KEPT).touch()
            if check:
                visit.verify(state)
                if not keep:
                    _check_the_end(visit, server, console)
                console.show(f"\nEverything answered as it should, in {time.time() - began:.1f} s.")
            else:
                _invite(visit, server, console, time.time() - began)
                _stay(server, console)
        finally:
            # Taking down is short and has to be whole: a second Ctrl-C does not cut it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if keep:
                undo.pop_all()
                (state / tour.RECORD).unlink(missing_ok=True)
    if keep or (kept and not check):
        console.show("What --keep left stays. To end it and to remove its session:\n  ./quickstart --stop")


def _began() -> float:
    """When ``./quickstart`` began, before it made its environment; seconds since the epoch."""
    text = os.environ.get("QUICKSTART_BEGAN", "")
    return int(text) / 1_000_000 if text.isascii() and text.isdigit() else time.time()


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
    parts = ", ".join(f"{part} {took:.0f} s" for part, took in console.times.items() if took >= 1)
    console.show(f"\nReady after {seconds:.0f} s{f' ({parts})' if parts else ''}. The application's page:\n")
    for url in visit.urls:
        console.show(f"  {url}")
    state = server.log.parent
    root, state = ("$PWD", Path(state.name)) if Path.cwd() == state.parent else (str(state.parent), state)
    console.show("\nThree commands to begin with, in another terminal, in this directory:\n")
    configuration = f"{root}/{STATE.name}/{daemon.CONFIGURATION}"
    console.show(f"  export PATH={root}/.venv/bin:$PATH SANDBOX_CONFIG={configuration}")
    for purpose, command in visit.commands():
        console.show(f"  # {purpose}\n  {command}")
    console.show("\nThe same API by HTTP:\n")
    for purpose, call in visit.suggestions():
        console.show(f"  # {purpose}\n  {call.curl(server.wire.url, state / server.wire.key_file.name)}")
    console.show("\nThe daemon's log follows; Ctrl-C ends the tour.\n")


def _stay(server: daemon.Daemon, console: Console) -> None:
    try:
        for line in server.lines():
            console.show(line)
    except KeyboardInterrupt:
        console.show("\n==> Ending the tour")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
