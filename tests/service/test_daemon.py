"""The daemon from outside: it starts or says why not, does its job on real containers, and stops well."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemon import KEY, Daemon, twistd
from tests.engine import BUSYBOX, Lab
from tests.waiting import PATIENCE, until_seen

PAGE = "<h1>from the container</h1>\n"


class Start(SynchronousTestCase):
    def refuse(self, environment: dict[str, str], *arguments: str) -> str:
        directory = Path(self.mktemp())
        directory.mkdir()
        started = twistd(
            ["-n", "sandbox", *arguments],
            {"STATE_DIRECTORY": str(directory), **environment},
            directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = started.communicate(timeout=30)
        self.assertNotEqual(started.returncode, 0, output)
        return output.decode()

    def test_without_the_key_it_does_not_start_and_says_which_variable_is_missing(self) -> None:
        output = self.refuse({})
        self.assertEqual(len(output.splitlines()), 1, output)
        self.assertIn("INTERNAL_SERVICE_KEY", output)

    def test_each_bad_value_stops_the_start_with_one_line_that_names_the_variable(self) -> None:
        for name, value in (
            ("PORT", "seventy"),
            ("HOST", "not an address"),
            ("DOCKER_HOST", "docker"),
            ("DATABASE_URL", "mysql://localhost/x"),
            ("ENABLE_PREVIEW_ACCESS_CONTROL", "maybe"),
            ("INTERNAL_LISTEN", "nonsense:1"),
            ("TRUSTED_PROXIES", "everybody"),
        ):
            with self.subTest(name):
                output = self.refuse({"INTERNAL_SERVICE_KEY": "k", name: value})
                self.assertEqual(len(output.splitlines()), 1, output)
                self.assertIn(name, output)

    def warnings(self, environment: dict[str, str], *arguments: str) -> list[str]:
        """What a daemon that starts warns of."""
        daemon = Daemon(Path(self.mktemp()), {"LOG_FORMAT": "json", **environment})
        daemon.start(*arguments)
        self.assertEqual(daemon.stop(), 0)
        lines = [json.loads(line) for line in daemon.log.read_text("utf-8").splitlines()]
        return [line["message"] for line in lines if line["level"] == "warn"]

    def test_f47_an_internal_api_that_the_network_reaches_is_warned_of(self) -> None:
        inner = f"unix:/tmp/sandbox-test-{secrets.token_hex(6)}.sock"
        for environment, arguments, warned in (
            ({"HOST": "0.0.0.0"}, [], True),
            ({"HOST": "::"}, [], True),
            ({}, ["--listen", "tcp:0"], True),
            ({"INTERNAL_LISTEN": "tcp:0"}, [], True),
            ({}, [], False),
            ({"HOST": "127.0.0.2"}, [], False),
            ({"HOST": "0.0.0.0", "INTERNAL_LISTEN": inner}, [], False),
            ({"HOST": "0.0.0.0", "INTERNAL_LISTEN": "tcp:0:interface=127.0.0.1"}, [], False),
        ):
            with self.subTest(environment):
                found = self.warnings(environment, *arguments)
                self.assertEqual(len(found), int(warned), found)
                for message in found:
                    self.assertRegex(message, r"^the internal API listens on tcp:[0-9]+.*INTERNAL_LISTEN=tcp:4003")

    def test_f17_names_that_are_no_variable_are_warned_of(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text("SESION_IMAGE=x\n")
        (message,) = self.warnings({}, "--env-file", str(file))
        self.assertEqual(message, f"{file}: line 1: unknown variable SESION_IMAGE: did you mean SESSION_IMAGE?")

    def test_access_control_without_a_secret_does_not_start(self) -> None:
        output = self.refuse({"INTERNAL_SERVICE_KEY": "k", "ENABLE_PREVIEW_ACCESS_CONTROL": "true"})
        self.assertIn("JWT_SECRET", output)

    def test_a_bad_endpoint_names_the_option(self) -> None:
        output = self.refuse({"INTERNAL_SERVICE_KEY": "k"}, "--listen", "nonsense:1")
        self.assertEqual(len(output.splitlines()), 1, output)
        self.assertIn("--listen", output)

    def test_a_port_that_is_taken_is_one_line(self) -> None:
        daemon = Daemon(Path(self.mktemp()))
        daemon.start()
        self.addCleanup(daemon.stop)
        output = self.refuse({"INTERNAL_SERVICE_KEY": "k", "PORT": str(daemon.port)})
        self.assertIn(f"cannot listen on tcp:{daemon.port}", output)
        self.assertNotIn("Traceback", output)


class Tour(SynchronousTestCase):
    """Issue: the main job end to end, on a real engine."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.daemon = Daemon(Path(self.mktemp()))
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.id = self.lab.session_id()
        self.addCleanup(self.lab.remove_session, self.id)

    def serve(self) -> None:
        call = self.daemon.call
        call("POST", f"sessions/{self.id}/files", {"path": "www/index.html", "content": PAGE}, status=201)
        call("POST", f"sessions/{self.id}/exec", {"command": "httpd -p 3000 -h /workspace/www"})
        call("POST", f"sessions/{self.id}/previews", {"port": 3000}, status=201)

    def test_one_path_through_every_room(self) -> None:
        call, request = self.daemon.call, self.daemon.request
        session = call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)
        self.assertEqual((session["status"], session["image"]), ("running", BUSYBOX))
        ran = call("POST", f"sessions/{self.id}/exec", {"command": "pwd; cat missing; exit 3"})
        self.assertEqual((ran["exitCode"], ran["stdout"]), (3, "/workspace\n"))
        self.assertIn("missing", ran["stderr"])
        self.serve()
        self.assertEqual(call("GET", f"sessions/{self.id}/files?path=www/index.html")["content"], PAGE)
        (entry,) = call("GET", f"sessions/{self.id}/dirs?path=.")["entries"]
        self.assertEqual((entry["name"], entry["type"]), ("www", "directory"))
        self.assertEqual(call("GET", f"sessions/{self.id}/stat?path=www/index.html")["size"], len(PAGE))
        for prefix in (f"/previews/{self.id}/", f"/internal-previews/proxy/{self.id}/"):
            self.assertEqual(request("GET", prefix), (200, PAGE.encode()))
        health = call("GET", f"/previews/{self.id}/health")
        self.assertEqual(health, {"healthy": True, "sessionId": self.id, "port": 3000, "statusCode": 200})
        call("DELETE", f"sessions/{self.id}", status=204)
        call("GET", f"sessions/{self.id}", status=404)
        found = self.lab.engine.containers(all=True, filters={"label": f"sandbox.session.id={self.id}"})
        self.assertEqual(found, [])

    def test_sessions_outlive_the_daemon_and_registrations_do_not(self) -> None:
        call = self.daemon.call
        call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)
        self.serve()
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.log.unlink()
        self.daemon.start()
        self.assertEqual(call("GET", f"sessions/{self.id}")["status"], "running")
        self.assertEqual(self.daemon.request("GET", f"/previews/{self.id}/")[0], 404)
        call("POST", f"sessions/{self.id}/previews", {"port": 3000}, status=201)
        # What a command left running in the background lives on, too.
        self.assertEqual(self.daemon.request("GET", f"/previews/{self.id}/"), (200, PAGE.encode()))

    def test_a_second_daemon_on_the_same_database_waits_until_the_first_one_ends(self) -> None:
        # Relative paths are from the directory that the daemon was started in.
        state = (self.daemon.directory / self.daemon.environment["STATE_DIRECTORY"]).resolve()
        second = Daemon(Path(self.mktemp()), {"STATE_DIRECTORY": str(state)})
        starting = threading.Thread(target=second.start)
        starting.start()
        self.addCleanup(second.stop)
        self.addCleanup(starting.join)
        while "Another daemon uses the database" not in (second.log.read_text("utf-8") if second.log.exists() else ""):
            starting.join(0.05)
            self.assertTrue(starting.is_alive())
        self.daemon.call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)
        self.assertEqual(self.daemon.stop(), 0)
        starting.join()
        self.assertEqual(second.call("GET", f"sessions/{self.id}")["status"], "running")

    def test_term_answers_what_is_in_flight_and_ends_in_time(self) -> None:
        call = self.daemon.call
        container = call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)["containerId"]
        answers: list[tuple[int, bytes]] = []
        body = {"command": "echo begun; sleep 2; echo done"}
        caller = threading.Thread(
            target=lambda: answers.append(self.daemon.request("POST", f"sessions/{self.id}/exec", body))
        )
        caller.start()
        until_seen(lambda: any("sleep 2" in line for line in self.lab.processes(container)))
        self.assertEqual(self.daemon.stop(), 0)
        caller.join(PATIENCE)
        ((status, content),) = answers
        self.assertEqual(status, 200)
        self.assertIn(b"begun\\ndone\\n", content)

    def test_term_kills_the_commands_that_do_not_finish(self) -> None:
        call = self.daemon.call
        self.daemon.stop()
        self.daemon.log.unlink()
        self.daemon.environment["DRAIN_SECONDS"] = "1"
        self.daemon.start()
        container = call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)["containerId"]
        answers: list[tuple[int, bytes]] = []
        body = {"command": "sleep 4321"}
        caller = threading.Thread(
            target=lambda: answers.append(self.daemon.request("POST", f"sessions/{self.id}/exec", body))
        )
        caller.start()
        until_seen(lambda: any("sleep 4321" in line for line in self.lab.processes(container)))
        self.assertEqual(self.daemon.stop(), 0)
        caller.join(PATIENCE)
        self.assertEqual([status for status, _ in answers], [500])
        self.assertFalse(any("sleep 4321" in line for line in self.lab.processes(container)))

    def test_the_log_tells_what_was_done_and_no_secrets(self) -> None:
        call = self.daemon.call
        call("POST", "sessions", {"userId": "u1", "id": self.id, "env": {"TOKEN": "env-secret-1"}}, status=201)
        call("POST", f"sessions/{self.id}/files", {"path": "f", "content": "content-secret"}, status=201)
        call("POST", f"sessions/{self.id}/exec", {"command": "echo visible", "env": {"A": "env-secret-2"}})
        log = self.daemon.log.read_text("utf-8")
        self.assertIn("echo visible", log)
        self.assertIn("exit=0", log)
        for secret in ("env-secret", "content-secret", KEY):
            self.assertNotIn(secret, log)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Listeners(SynchronousTestCase):
    def test_internal_listen_keeps_the_api_off_the_public_port(self) -> None:
        directory = Path(self.mktemp())
        path = f"/tmp/sandbox-test-{os.getpid()}.sock"
        daemon = Daemon(directory, {"INTERNAL_LISTEN": f"unix:{path}"})
        daemon.start()
        self.addCleanup(daemon.stop)
        for target in ("sessions", "/internal-previews/proxy/x/"):
            self.assertEqual(daemon.request("GET", target)[0], 404, target)
        self.assertEqual(daemon.request("GET", "/previews/x/")[0], 404)
        with closing(UnixConnection(path)) as connection:
            connection.request("GET", "/api/internal/sessions", headers={"X-Internal-Service-Key": KEY})
            self.assertEqual(connection.getresponse().status, 200)

    def test_listen_overrides_host_and_port_and_may_be_repeated(self) -> None:
        daemon = Daemon(Path(self.mktemp()), {"PORT": "1"})
        daemon.start("--listen", "tcp:0:interface=127.0.0.1", "--listen", "tcp:0:interface=127.0.0.2")
        self.addCleanup(daemon.stop)
        self.assertEqual(daemon.call("GET", "sessions")["sessions"], [])
        self.assertIn("interface=127.0.0.2", daemon.log.read_text("utf-8"))

    def test_it_daemonizes_as_twistd_does(self) -> None:
        daemon = Daemon(Path(self.mktemp()))
        options = ["--pidfile", "sandbox.pid", "--logfile", "log"]
        process = twistd([*options, "sandbox"], daemon.environment, daemon.directory)
        self.assertEqual(process.wait(30), 0)
        daemon.wait_until_ready()
        pid = int((daemon.directory / "sandbox.pid").read_text())
        self.assertEqual(daemon.call("GET", "sessions")["sessions"], [])
        os.kill(pid, signal.SIGTERM)
        until_seen(lambda: not (daemon.directory / "sandbox.pid").exists())
