"""Every example of docs/cli.md and docs/sdk.md, against the daemon and the session image that users have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.command import PROGRAM, CommandCase, clean
from tests.documents import Step, blocks, steps
from tests.session_image import ensure_session_image


class Documentation(CommandCase):
    @classmethod
    def setUpClass(cls) -> None:
        ensure_session_image()
        super().setUpClass()
        cls.daemon.stop()
        cls.daemon.log.unlink()
        del cls.daemon.environment["SESSION_IMAGE"]
        cls.daemon.start()
        cls.environment["SANDBOX_URL"] = f"http://127.0.0.1:{cls.daemon.port}"

    def setUp(self) -> None:
        super().setUp()
        program = self.work / "bin" / "sandbox"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
        program.chmod(0o700)
        self.variables = clean({**self.environment, "STATE_DIRECTORY": str(self.work), "PORT": "0"})
        self.variables["PATH"] = f"{program.parent}:{self.variables['PATH']}"

    def test_the_commands_print_what_the_page_says(self) -> None:
        status = 0
        directory = self.work / "home"
        directory.mkdir()
        done = steps("cli.md")
        self.assertGreater(len(done), 30)
        for step in done:
            process = subprocess.run(
                ["bash", "-c", f"(exit {status}); {step.command}"],
                check=False,
                cwd=directory,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
            status, printed = process.returncode, process.stdout.decode()
            self.assertTrue(step.agrees(printed), f"$ {step.command}\n{printed}\ninstead of\n{step.output}")

    def test_the_programs_run(self) -> None:
        programs = blocks("sdk.md", "python")
        self.assertEqual(len(programs), 4)
        for number, text in enumerate(programs):
            program = Path(self.work, f"example{number}.py")
            program.write_text(text)
            done = subprocess.run(
                [sys.executable, "-P", "-W", "error", str(program)],
                check=False,
                env=self.variables,
                capture_output=True,
                timeout=60,
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""), f"{text}\n{done}")
            self.remove_sessions()

    def test_what_is_compared_is_compared(self) -> None:
        step = Step("x", "a  b …\nc\n")
        self.assertTrue(step.agrees("a b anything at all\nc\n"))
        for other in ("a b\nc\n", "ab x\nc\n", "a b x\nd\n", "a b x\nc\nd\n", "a b x\ny\nc\n", ""):
            self.assertFalse(step.agrees(other), other)
