"""``up``, ``ls``, ``stat``, ``start``, ``stop``, ``rm``, and what every command has in common."""

from __future__ import annotations

import getpass
import json
import os
import pty
import subprocess

from sandbox.cli import sessions
from sandbox.cli.application import Application
from sandbox.cli.failures import Failure
from tests.cli.command import PROGRAM, CommandCase, clean, run
from tests.daemon import KEY
from tests.engine import BUSYBOX, client


class Sessions(CommandCase):
    def test_up_makes_a_session_and_prints_its_id(self) -> None:
        self.assertEqual(
            self.good("up", "demo", "--user", "u1", "--env", "A=b=c", "--memory", "64", "--cpus", "0.5"), "demo\n"
        )
        found = self.daemon.call("GET", "sessions/demo")
        self.assertEqual((found["userId"], found["status"], found["image"]), ("u1", "running", BUSYBOX))
        self.assertEqual(self.shell("echo $A"), "b=c\n")

    def test_f47_an_image_can_be_pinned_by_its_id(self) -> None:
        engine = client()
        self.addCleanup(engine.close)
        image = engine.inspect_image(BUSYBOX)["Id"]
        self.assertTrue(image.startswith("sha256:"), image)
        self.assertEqual(self.good("up", "demo", "--image", image), "demo\n")
        self.assertEqual(self.daemon.call("GET", "sessions/demo")["image"], image)
        self.assertEqual(self.shell("echo here"), "here\n")

    def test_up_starts_the_session_that_there_is(self) -> None:
        self.good("up", "demo")
        self.good("stop", "demo")
        self.assertEqual(self.good("up", "demo"), "demo\n")
        self.assertEqual(self.daemon.call("GET", "sessions/demo")["status"], "running")
        done = self.run_it("up", "demo", "--memory", "64")
        self.assertEqual((done.returncode, done.stdout), (0, b"demo\n"))
        self.assertIn(b"was there already", done.stderr)

    def test_up_without_an_id_lets_the_daemon_name_it(self) -> None:
        made = self.good("up").strip()
        self.assertEqual(self.daemon.call("GET", f"sessions/{made}")["userId"], getpass.getuser())
        self.assertNotEqual(self.good("up", SANDBOX_USER="other").strip(), made)
        self.assertEqual(len(self.daemon.call("GET", "sessions?userId=other")["sessions"]), 1)

    def test_up_asks_for_a_user_where_the_system_names_none(self) -> None:
        def nobody() -> str:
            raise KeyError("getpwuid(): uid not found: 4242")

        self.patch(getpass, "getuser", nobody)
        error = self.assertRaises(Failure, sessions._user, Application({"HOME": "/nonexistent"}))
        self.assertIn("SANDBOX_USER", error.hint)
        self.assertEqual(sessions._user(Application({"HOME": "/nonexistent", "SANDBOX_USER": "u1"})), "u1")

    def test_up_says_what_is_wrong_with_what_it_was_given(self) -> None:
        self.assertIn("pull, build or import it", self.bad("up", "demo", "--image", "nobody/nothing:1"))
        self.assertIn("NAME=VALUE", self.bad("up", "--env", "A", status=2))
        self.assertIn("memoryMb", self.bad("up", "--memory", "1"))
        self.assertIn("no session id", self.bad("up", "a/b", status=2))

    def test_ls_lists_sessions_newest_first(self) -> None:
        self.assertEqual(self.good("ls").split(), ["ID", "USER", "STATUS", "IMAGE", "CREATED"])
        for number in range(3):
            self.good("up", f"s{number}", "--user", f"u{number % 2}")
        self.good("stop", "s0")
        rows = [line.split()[:4] for line in self.good("ls").splitlines()]
        self.assertEqual(rows[0], ["ID", "USER", "STATUS", "IMAGE"])
        self.assertEqual(
            [row[:3] for row in rows[1:]], [["s2", "u0", "running"], ["s1", "u1", "running"], ["s0", "u0", "stopped"]]
        )
        self.assertEqual(self.good("ls", "-q", "--user", "u0"), "s2\ns0\n")
        self.assertEqual(self.good("ls", "-q", "--status", "stopped"), "s0\n")
        self.assertEqual(self.values("ls", "-q"), ["s2", "s1", "s0"])

    def test_json_is_the_apis(self) -> None:
        made = self.values("up", "demo")
        found = self.daemon.call("GET", "sessions/demo")
        for fields in (made, self.values("stat", "demo"), self.values("ls")[0]):
            self.assertEqual(set(fields), set(found))
            self.assertEqual(
                {name: fields[name] for name in ("id", "userId", "containerId")},
                {name: found[name] for name in ("id", "userId", "containerId")},
            )
        self.assertEqual(json.loads(self.good("--json", "stat", "demo")), self.values("stat", "demo"))

    def test_stat_shows_a_session(self) -> None:
        self.good("up", "demo", "--user", "u1")
        lines = dict(line.split(maxsplit=1) for line in self.good("stat", "demo").splitlines())
        self.assertEqual((lines["id"], lines["user"], lines["status"]), ("demo", "u1", "running"))

    def test_several_are_started_stopped_and_removed_and_one_does_not_hinder_the_others(self) -> None:
        self.good("up", "a")
        self.good("up", "b")
        self.assertEqual(self.good("stop", "a", "b"), "a\nb\n")
        done = self.run_it("start", "a", "nobody", "b", "nothing")
        self.assertEqual((done.returncode, done.stdout), (1, b"a\nb\n"))
        self.assertIn(b"nobody not found", done.stderr)
        self.assertIn(b"nothing not found", done.stderr)
        self.assertEqual([one["status"] for one in self.values("start", "a", "b")], ["running", "running"])
        self.assertEqual(self.good("rm", "a"), "a\n")
        self.assertEqual(self.values("rm", "b"), [{"id": "b", "deleted": True}])
        self.assertEqual(self.good("ls", "-q"), "")

    def test_rm_asks_on_a_terminal_unless_it_is_told_not_to(self) -> None:
        for answer, arguments, status in (
            (b"n\n", ["rm", "demo"], 1),
            (b"y\n", ["rm", "demo"], 0),
            (b"", ["rm", "-f", "demo"], 0),
        ):
            self.good("up", "demo")
            ours, theirs = pty.openpty()
            with os.fdopen(theirs, "rb"), os.fdopen(ours, "wb", buffering=0) as keyboard:
                keyboard.write(answer)
                done = subprocess.run(
                    [*PROGRAM, *arguments],
                    check=False,
                    env=clean(self.environment),
                    stdin=theirs,
                    capture_output=True,
                    timeout=60,
                )
            self.assertEqual(done.returncode, status, done)
            self.assertEqual(b"all files" in done.stderr, bool(answer))
            self.assertEqual(self.good("ls", "-q"), "demo\n" if status else "")


class Everywhere(CommandCase):
    def test_failures_say_what_happened_and_what_to_do(self) -> None:
        self.assertIn("`sandbox up ID` makes one", self.bad("stat", "nobody"))
        self.assertIn("INTERNAL_SERVICE_KEY", self.bad("ls", INTERNAL_SERVICE_KEY="wrong"))
        self.assertIn("INTERNAL_SERVICE_KEY", self.bad("ls", INTERNAL_SERVICE_KEY=""))
        self.assertIn("`sandbox doctor` looks", self.bad("ls", SANDBOX_URL="http://127.0.0.1:1"))
        self.assertIn("must be http", self.bad("ls", SANDBOX_URL="127.0.0.1"))
        self.assertIn("must be http", self.bad("--url", "ftp://x", "ls"))

    def test_failures_are_json_too(self) -> None:
        for arguments in (("stat", "nobody", "--json"), ("--json", "stat", "nobody")):
            error = json.loads(self.bad(*arguments))["error"]
            self.assertEqual((error["code"], error["statusCode"]), ("SESSION_NOT_FOUND", 404))
            self.assertEqual(error["message"], "Session nobody not found")
            self.assertIn("sandbox up", error["hint"])
        self.assertIsNone(json.loads(self.bad("cp", "--json", "a/missing", "demo:"))["error"]["hint"])

    def test_what_cannot_be_understood_is_status_2(self) -> None:
        for arguments in (
            ("nothing",),
            ("up", "--nothing"),
            ("stat",),
            ("cp", "a", "b"),
            ("ls", "demo", "--user", "x"),
        ):
            self.assertIn("Usage:", self.bad(*arguments, status=2))

    def test_the_configuration_file_is_read_unless_others_can(self) -> None:
        home = self.work / "home" / ".config" / "sandbox"
        home.mkdir(parents=True)
        file = home / "config.toml"
        file.write_text(f'url = "{self.environment["SANDBOX_URL"]}"\nkey = "{KEY}"\nuser = "filed"\n')
        environment = {"HOME": str(self.work / "home")}
        file.chmod(0o600)
        self.assertEqual(run("ls", "-q", environment=environment).returncode, 0)
        file.chmod(0o644)
        refused = run("ls", environment=environment)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"chmod 600 {file}".encode(), refused.stderr)

    def test_the_key_is_never_printed(self) -> None:
        for arguments in (("ls",), ("stat", "nobody", "--json"), ("doctor",), ("doctor", "--json")):
            done = self.run_it(*arguments)
            self.assertNotIn(KEY.encode(), done.stdout + done.stderr)

    def test_help_and_version_need_no_daemon(self) -> None:
        for command in (
            "up",
            "ls",
            "stat",
            "start",
            "stop",
            "rm",
            "exec",
            "cp",
            "edit",
            "preview",
            "doctor",
            "completion",
        ):
            done = run(command, "--help", environment={})
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage: sandbox ", done.stdout)
            self.assertEqual(b"--json" in done.stdout, command != "preview", command)
        self.assertRegex(run("--version", environment={}).stdout.decode(), r"^sandbox, version \d")

    def test_shells_complete_commands_and_session_ids(self) -> None:
        self.good("up", "demo")
        for shell in ("bash", "zsh", "fish"):
            script = self.good("completion", shell)
            self.assertIn("_SANDBOX_COMPLETE", script)
        for words, wanted in (("sandbox do", "doctor"), ("sandbox stat de", "demo"), ("sandbox preview he", "health")):
            found = self.good(
                COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1), _SANDBOX_COMPLETE="bash_complete"
            )
            self.assertEqual(found, f"plain,{wanted}\n")
        nothing = self.good(
            COMP_WORDS="sandbox stat de",
            COMP_CWORD="2",
            _SANDBOX_COMPLETE="bash_complete",
            SANDBOX_URL="http://127.0.0.1:1",
        )
        self.assertEqual(nothing.strip(), "")

    def test_the_completion_scripts_are_shell(self) -> None:
        script = self.good("completion", "bash").encode()
        done = subprocess.run(["bash", "-n"], check=False, input=script, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
