"""``exec``: what the command does is what this program does."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.cli.command import PROGRAM, CommandCase, clean
from tests.waiting import PATIENCE, until_seen


class Exec(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.good("up", "demo")

    def test_the_exit_code_is_passed_on_and_the_streams_stay_apart(self) -> None:
        done = self.run_it("exec", "demo", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, b"out\n", b"err\n"))
        self.assertEqual(self.run_it("exec", "demo", "true").returncode, 0)
        self.assertEqual(self.run_it("exec", "demo", "--", "sh", "-c", "kill -9 $$").returncode, 137)

    def test_options_of_the_command_are_its_own(self) -> None:
        self.assertEqual(
            self.good("exec", "demo", "printf", "%s,", "--json", "-s", "--", "-h", "a b"), "--json,-s,--,-h,a b,"
        )

    def test_the_shell_takes_the_words_as_one_script(self) -> None:
        self.assertEqual(self.good("exec", "--shell", "demo", "echo $((1+1)) | tr 2 x"), "x\n")
        self.assertEqual(self.good("exec", "-s", "demo", "echo", "a", "&&", "echo", "b"), "a\nb\n")

    def test_directory_and_variables(self) -> None:
        self.write("sub/f", "")
        self.assertEqual(self.good("exec", "-w", "sub", "demo", "pwd"), "/workspace/sub\n")
        self.assertEqual(self.good("exec", "-e", "A=x y", "-e", "B=", "demo", "sh", "-c", 'echo "$A,$B"'), "x y,\n")

    def test_output_is_bytes_as_they_were(self) -> None:
        done = self.run_it("exec", "demo", "printf", "é\\r\\n\\033[1m", LANG="C", PYTHONIOENCODING="ascii")
        self.assertEqual(done.stdout, "é\r\n\033[1m".encode())

    def test_json(self) -> None:
        done = self.run_it("exec", "--json", "demo", "sh", "-c", "echo x; exit 3")
        self.assertEqual((done.returncode, done.stderr), (3, b""))
        result = json.loads(done.stdout)
        self.assertIsInstance(result.pop("durationMs"), int)
        self.assertEqual(result, {"exitCode": 3, "stdout": "x\n", "stderr": "", "truncated": False, "oomKilled": False})

    def test_time_that_is_up_is_124_with_what_was_printed(self) -> None:
        done = self.run_it("exec", "-t", "0.5", "demo", "sh", "-c", "echo begun; sleep 60")
        self.assertEqual((done.returncode, done.stdout), (124, b"begun\n"))
        self.assertIn(b"Execution timeout after 500ms", done.stderr)
        asked = self.run_it("exec", "-t", "0.5", "--json", "demo", "sh", "-c", "echo begun; sleep 60")
        error = json.loads(asked.stderr)["error"]
        self.assertEqual((asked.returncode, error["code"], error["stdout"]), (124, "EXECUTION_TIMEOUT", "begun\n"))

    def test_what_cannot_be_run_has_the_usual_codes(self) -> None:
        self.write("text", "no program")
        self.assertIn("No such file", self.bad("exec", "demo", "/nothing", status=127))
        self.assertIn("Permission denied", self.bad("exec", "demo", "/workspace/text", status=126))
        self.assertIn("cwd", self.bad("exec", "-w", "missing", "demo", "true", status=125))
        self.assertIn("sandbox up", self.bad("exec", "nobody", "true", status=125))
        self.good("stop", "demo")
        self.assertIn("sandbox start", self.bad("exec", "demo", "true", status=125))

    def test_output_past_the_daemons_limit_is_told(self) -> None:
        done = self.run_it("exec", "demo", "sh", "-c", "yes | head -c 11000000")
        self.assertEqual((done.returncode, len(done.stdout)), (0, 10 * 1024 * 1024))
        self.assertIn(b"EXEC_OUTPUT_LIMIT", done.stderr)

    def test_interrupted_it_ends_the_command_too(self) -> None:
        started = subprocess.Popen(
            [*PROGRAM, "exec", "demo", "sleep", "4322"],
            env=clean(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        until_seen(lambda: "sleep 4322" in self.shell("ps"))
        started.send_signal(signal.SIGINT)
        _, complaint = started.communicate(timeout=PATIENCE)
        self.assertEqual((started.returncode, complaint), (130, b"sandbox: interrupted\n"))
        until_seen(lambda: "sleep 4322" not in self.shell("ps"))
