"""The tour as a person runs it: kept, used again, interrupted, killed, stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from quickstart.processes import Process
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.page import free_port, make_environment
from tests.engine import ENGINE_URL, client
from tests.session_image import ensure_session_image

ROOT = Path(__file__).parents[2]
#: Seconds that a part of the tour may take.
LIMIT = 120


class TourTests(SynchronousTestCase):
    """In a copy of what the clone has of it, with an environment that is made already."""

    timeout = 280

    def setUp(self) -> None:
        ensure_session_image()
        self.directory = Path(tempfile.mkdtemp(prefix="tour-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        shutil.copytree(ROOT / "etc", self.directory / "etc", ignore=shutil.ignore_patterns("__pycache__"))
        make_environment(self.directory / ".venv")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "DOCKER_HOST": ENGINE_URL,
            "PORT": str(free_port()),
            "PYTHONPATH": str(self.directory / "etc"),
        }
        self.state = self.directory / ".quickstart"
        self.addCleanup(self.tour, "--stop")

    def program(self, *arguments: str) -> list[str]:
        return [str(self.directory / ".venv" / "bin" / "python"), "-P", "-m", "quickstart", *arguments]

    def tour(self, *arguments: str, status: int = 0) -> str:
        """Run it to its end; what it prints."""
        done = subprocess.run(
            self.program(*arguments),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        return done.stdout

    def stay(self) -> tuple[subprocess.Popen[str], str]:
        """A tour that stays, and what it printed until it did."""
        running = subprocess.Popen(
            self.program(), cwd=self.directory, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        assert running.stdout is not None
        self.addCleanup(running.stdout.close)
        printed = ""
        for line in running.stdout:
            printed += line
            if "Ctrl-C ends the tour." in line:
                return running, printed
        raise AssertionError(printed)

    def sandbox(self, line: str) -> str:
        """Type a line, with the environment that the tour says."""
        export = "export PATH=$PWD/.venv/bin:$PATH SANDBOX_CONFIG=$PWD/.quickstart/config.toml"
        return subprocess.run(
            ["sh", "-euc", f"{export}; {line}"],
            cwd=self.directory,
            env={**self.environment, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        ).stdout

    @property
    def session(self) -> str:
        return (self.state / "session-id").read_text().strip()

    def containers(self) -> list[str]:
        """The states of the containers that sessions of this copy have."""
        with closing(client()) as engine:
            names = [f"sandbox.session.id={self.session}", f"sandbox.session.id={self.session}-check"]
            found = [engine.containers(all=True, filters={"label": name}) for name in names]
        return [one["State"] for each in found for one in each]

    def daemon(self) -> Process:
        found = json.loads((self.state / "daemon.json").read_text())
        return Process(found["pid"], found["started"])

    def test_f24_what_keep_left_is_used_again_until_it_is_stopped(self) -> None:
        self.assertIn("the three commands do what they say", self.tour("--check", "--keep"))
        daemon, session = self.daemon(), self.session
        self.sandbox(f"echo mine | sandbox cp - {session}:mine.txt")
        running, printed = self.stay()
        self.assertIn("the daemon that --keep left answers", printed)
        self.assertIn(f"session {session}, which --keep left, is used as it is", printed)
        three = [line.strip() for line in printed.splitlines() if line.startswith(("  sandbox ", "  echo "))]
        self.assertEqual(len(three), 3)
        self.assertLess(printed.index(three[2]), printed.index("  curl "), "the command comes first")
        self.assertIn("message.txt", self.sandbox(three[0]))
        self.assertIn("A tour runs from this checkout already", self.tour(status=1))
        running.send_signal(signal.SIGINT)
        self.assertIn("./quickstart --stop", running.communicate(timeout=LIMIT)[0])
        self.assertEqual(running.returncode, 0)
        self.assertEqual(self.sandbox(f"sandbox cp {session}:mine.txt -"), "mine\n", "nothing was deleted")
        self.tour("--check")
        self.assertEqual(self.sandbox(f"sandbox cp {session}:mine.txt -"), "mine\n", "a check has a session of its own")
        self.assertTrue(daemon.runs)
        other = f"{session}-other"
        self.sandbox(f"sandbox up {other}")
        self.addCleanup(self.remove, other)
        said = self.tour("--stop")
        for words in ("the daemon is ended", f"session {session} is removed", f"session {other} is stopped"):
            self.assertIn(words, said)
        self.assertEqual((self.containers(), daemon.runs), ([], False))
        self.assertIn("Nothing runs", self.tour("--stop"))

    def remove(self, session: str) -> None:
        """Remove a session that the tour only stops."""
        with closing(client()) as engine:
            ours = {"label": [f"sandbox.session.id={session}"]}
            for one in engine.containers(all=True, filters=ours):
                engine.remove_container(one["Id"], force=True)
            for one in engine.volumes(filters=ours)["Volumes"] or []:
                engine.remove_volume(one["Name"])

    def test_f24_stop_ends_a_tour_that_runs(self) -> None:
        running, printed = self.stay()
        self.assertRegex(printed, r"(?m)^Ready after \d+ s")
        daemon = self.daemon()
        self.assertIn("the tour is ended", self.tour("--stop"))
        self.assertEqual(running.wait(LIMIT), 0)
        self.assertEqual((self.containers(), daemon.runs), ([], False))

    def test_f24_stop_ends_what_a_killed_tour_left(self) -> None:
        running, _ = self.stay()
        running.kill()
        running.wait(LIMIT)
        self.assertEqual(self.containers(), ["running"])
        self.assertIn(f"session {self.session} is removed", self.tour("--stop"))
        self.assertEqual((self.containers(), self.daemon_runs()), ([], False))

    def daemon_runs(self) -> bool:
        return (self.state / "daemon.json").exists() and self.daemon().runs

    def test_f24_a_closed_pipe_ends_it_without_a_traceback(self) -> None:
        done = subprocess.run(
            ["bash", "-c", '"$@" | head -n 4; echo "${PIPESTATUS[0]}"', "bash", *self.program()],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.splitlines()[4:], ["141"])
        self.assertEqual(self.containers(), [])
        self.assertFalse(self.daemon_runs())


class ProcessTests(SynchronousTestCase):
    """A process that was written down is not taken for another one."""

    def test_f24_only_the_very_process_is_ended(self) -> None:
        path = Path(self.mktemp())
        running = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        found = Process.of(running.pid)
        assert found is not None
        found.write(path, url="x")
        other = Process(found.pid, found.started - 1)
        self.assertTrue(other.end(1), "an id that is another process's by now counts as ended")
        self.assertTrue(found.runs)
        self.assertTrue(found.end(60))
        self.assertFalse(found.runs, "a zombie has ended")
