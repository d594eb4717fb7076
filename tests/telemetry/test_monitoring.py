"""What a real daemon tells of itself: every log line, every metric, and nothing that is somebody's secret."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain import errors
from tests.daemon import KEY, Daemon, twistd
from tests.documents import DOCS
from tests.engine import Lab
from tests.policy.jwts import SECRET, attacks, token
from tests.test_prometheus_rules import rules
from tests.waiting import until_seen

ROOT = DOCS.parent
#: Stands in everything that is secret.
CANARY = "canary-7c1d"


def lines(path: Path) -> list[dict[str, Any]]:
    """A log, each line of which is JSON."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def exchange(port: int, data: bytes) -> bytes:
    """Raw bytes out, and what comes until the connection ends or rests."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.settimeout(1)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


class Monitored(SynchronousTestCase):
    """One daemon, which has had a bit of everything to do.

    :cvar log: what it had logged then.
    :cvar metrics: what it said of itself then, by the names that Prometheus knows.
    :cvar secrets: what it was told and must not repeat, by what it is.
    :cvar answered: the names of requests that were answered, by path.
    """

    timeout = 120
    daemon: ClassVar[Daemon]
    lab: ClassVar[Lab]
    log: ClassVar[list[dict[str, Any]]]
    metrics: ClassVar[dict[str, Metric]]
    session: ClassVar[str]
    secrets: ClassVar[dict[str, str]]
    answered: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.lab = Lab()
        cls.session = cls.lab.session_id()
        cls.daemon = Daemon(
            Path(tempfile.mkdtemp(prefix="monitoring-")),
            {
                "JWT_SECRET": SECRET.decode(),
                "ENABLE_PREVIEW_ACCESS_CONTROL": "true",
                "LOG_LEVEL": "debug",
                "LOG_COMMANDS": "false",
                "ACCESS_LOG": "1",
            },
        )
        cls.secrets = {
            "key": KEY,
            "wrong key": f"{CANARY}-wrong-key",
            "secret of tokens": SECRET.decode(),
            "stored token": CANARY,
        }
        cls.answered = {}
        try:
            cls.daemon.start()
            cls.work()
            cls.visit()
            cls.misbehave()
            page = cls.ask("GET", "/metrics", {"X-Internal-Service-Key": KEY})[2].decode()
            cls.metrics = {family.name: family for family in text_string_to_metric_families(page)}
            for step in ("stop", "start"):
                cls.daemon.call("POST", f"sessions/{cls.session}/{step}")
            cls.daemon.call("DELETE", f"sessions/{cls.session}", status=204)
            cls.daemon.stop()
            cls.log = lines(cls.daemon.log)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        with contextlib.suppress(AssertionError):
            cls.daemon.stop()
        shutil.rmtree(cls.daemon.directory, ignore_errors=True)
        cls.lab.remove_session(cls.session)
        cls.lab.close()

    @classmethod
    def ask(
        cls, method: str, path: str, fields: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request without the key."""
        connection = http.client.HTTPConnection("127.0.0.1", cls.daemon.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, fields or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            cls.answered[path.partition("?")[0]] = found["x-request-id"]
            return answer.status, found, answer.read()

    @classmethod
    def work(cls) -> None:
        """What the platform does."""
        call, path = cls.daemon.call, f"sessions/{cls.session}"
        environment = {"PASSWORD": f"{CANARY}-of-session"}
        call("POST", "sessions", {"userId": "alice", "id": cls.session, "env": environment}, status=201)
        page = {"path": "www/index.html", "content": f"{CANARY}-in-file"}
        call("POST", f"{path}/files", page, status=201)
        call("GET", f"{path}/files?path=www/index.html")
        call("GET", f"{path}/dirs?path=.")
        call("GET", f"{path}/stat?path=www")
        call("GET", f"{path}/files?path=missing", status=500)
        call("POST", f"{path}/files", {"path": "../x", "content": f"{CANARY}-in-file"}, status=400)
        command = {"command": f"echo {CANARY}-in-output; echo $X; exit 3", "env": {"X": f"{CANARY}-of-exec"}}
        call("POST", f"{path}/exec", command)
        call("POST", f"{path}/exec", {"command": ["httpd", "-p", "3000", "-h", "/workspace/www"]})
        call("POST", f"{path}/exec", {"command": f"sleep 60 # {CANARY}", "timeoutMs": 50}, status=500)
        call("POST", f"{path}/exec", {"command": ["/missing"], "env": {"X": f"{CANARY}-of-exec"}}, status=500)
        call("POST", f"{path}/previews", {"port": 3000}, status=201)
        cls.ask("GET", f"/internal-previews/proxy/{cls.session}/", {"X-Internal-Service-Key": KEY})
        cls.daemon.request("POST", f"{path}/exec", {"command": 1, "env": {"X": f"{CANARY}-wrong-type"}})
        cls.ask(
            "POST", f"/api/internal/{path}/exec", {"X-Internal-Service-Key": KEY}, b'{"command": "' + CANARY.encode()
        )
        cls.ask("GET", "/api/internal/sessions", {"X-Internal-Service-Key": cls.secrets["wrong key"]})

    @classmethod
    def visit(cls) -> None:
        """What browsers do, with all kinds of tokens in all places."""
        path = f"/previews/{cls.session}/"
        made = cls.daemon.call("POST", f"sessions/{cls.session}/previews/links", {"userId": "carol"}, status=201)
        link = urlsplit(made["url"])
        cls.secrets["link's token"] = link.query.partition("=")[2]
        _, fields, _ = cls.ask("GET", f"{link.path}?{link.query}&q={CANARY}")
        cookie = fields["set-cookie"].partition(";")[0]
        cls.secrets["cookie"] = cookie.partition("=")[2]
        assert cls.ask("GET", path, {"Cookie": cookie})[2] == f"{CANARY}-in-file".encode()
        good = token(exp=int(time.time()) + 600)
        for name, text in {"good": good, "expired": token(exp=1), "bob's": token(sub="bob"), **attacks()}.items():
            shown = text.decode("latin-1")
            if not re.fullmatch(r"[A-Za-z0-9._=-]{10,8000}", shown):
                continue  # No client sends it as it is.
            cls.secrets[f"token ({name})"] = shown
            cls.ask("GET", path, {"Authorization": f"Bearer {shown}"})
            cls.ask(
                "POST", f"{path}?access_token={shown}", {"Cookie": f"x={CANARY}-cookie"}, b"body " + CANARY.encode()
            )
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": f"bearer, {good.decode()}",
        }
        cls.ask("GET", f"{path}socket?token={CANARY}", upgrade)
        cls.ask("GET", f"/elsewhere?token={CANARY}", {"Referer": f"http://127.0.0.1/previews/x/?t={CANARY}"})
        cls.daemon.call("DELETE", f"sessions/{cls.session}/previews/links/{made['id']}", status=204)

    @classmethod
    def misbehave(cls) -> None:
        """What is no HTTP, with a secret in it."""
        for data in (
            b"GARBAGE " + CANARY.encode() + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a="
            + CANARY.encode()
            + b"\r\nBroken line "
            + CANARY.encode()
            + b"\r\n\r\n",
            b"GET /previews/x/?t=" + CANARY.encode() * 4000 + b" HTTP/1.1\r\n",
        ):
            assert exchange(cls.daemon.port, data).startswith(b"HTTP/1.1 4")

    # The log.

    def events(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["logger"] == f"sandbox.{logger}"]

    def test_nothing_secret_is_in_it(self) -> None:
        text = self.daemon.log.read_text("utf-8")
        self.assertGreater(len(self.log), 60)
        for name, secret in self.secrets.items():
            found = [line for line in text.splitlines() if secret in line]
            self.assertEqual(found, [], f"the {name} is in the log")

    def test_every_line_has_time_level_logger_and_message(self) -> None:
        for line in self.log:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warn", "error", "critical"))
            self.assertTrue(line["logger"])
            self.assertIsInstance(line["message"], str)
            self.assertNotIn("Unable to format event", line["message"])

    def test_nothing_unforeseen_happened(self) -> None:
        self.assertEqual([line for line in self.log if "failure" in line or line["level"] == "critical"], [])

    def test_commands_are_there_with_container_exit_and_duration(self) -> None:
        ran = [line for line in self.events("operations.execution") if line.get("exit") == 3]
        self.assertEqual(len(ran), 1)
        self.assertEqual((ran[0]["session"], len(ran[0]["container"])), (self.session, 12))
        self.assertGreaterEqual(ran[0]["ms"], 0)
        self.assertEqual(ran[0]["command"], "/bin/sh")
        failed = [line for line in self.events("operations.execution") if "code" in line]
        self.assertEqual([line["code"] for line in failed], ["COMMAND_NOT_FOUND"])

    def test_file_operations_are_there_with_path_size_and_outcome(self) -> None:
        found = [
            (line["verb"], line["path"], line.get("size"), line["level"]) for line in self.events("operations.files")
        ]
        size = len(f"{CANARY}-in-file")
        self.assertIn(("write file", "www/index.html", size, "info"), found)
        self.assertIn(("read file", "www/index.html", size, "info"), found)
        # F21: what users do wrong is no reason to warn.
        self.assertIn(("read file", "missing", None, "info"), found)

    def test_registrations_links_and_the_session_s_life_are_there(self) -> None:
        messages = [
            line["message"].partition(" session=")[0] for line in self.log if line.get("session") == self.session
        ]
        for each in ("created", "preview registered", "link created", "link revoked", "preview dropped", "deleted"):
            self.assertIn(each, messages)

    def test_issue_15_what_changes_something_says_whose_call_it_was(self) -> None:
        said = {line["message"].partition(" session=")[0]: line for line in self.log if " by=root" in line["message"]}
        for each in ("created", "stop", "start", "preview registered", "link created", "link revoked", "deleted"):
            self.assertEqual((said[each]["by"], said[each]["session"]), ("root", self.session), each)
        for line in (*self.events("operations.execution"), *self.events("operations.files")):
            self.assertEqual(line["by"], "root")

    def test_issue_15_requests_with_the_service_key_say_so_and_others_do_not(self) -> None:
        access = {line["path"]: line for line in self.events("access")}
        self.assertEqual(access[f"/internal-previews/proxy/{self.session}/"]["by"], "root")
        self.assertEqual(access[f"/api/internal/sessions/{self.session}/exec"]["by"], "root")
        for line in access.values():
            self.assertEqual("by" in line, line["status"] != 403 and "internal" in line["path"], line)

    def test_every_request_is_there_by_the_name_that_it_was_answered_with(self) -> None:
        access = {line["request_id"]: line for line in self.events("access")}
        for path, request_id in self.answered.items():
            self.assertEqual(access[request_id]["path"], path)
        for line in access.values():
            self.assertNotIn("?", line["path"])

    def test_what_happens_for_a_request_carries_its_name_and_session(self) -> None:
        access = {line["request_id"]: line for line in self.events("access")}
        named = [line for name in ("execution", "files", "links") for line in self.events(f"operations.{name}")]
        self.assertGreater(len(named), 8)
        for line in named:
            self.assertEqual(access[line["request_id"]]["session"], line["session"])

    def test_f21_failures_are_there_with_their_code_and_warn_only_of_the_daemons_own_faults(self) -> None:
        failed = {(line["code"], line["level"]) for line in self.log if "code" in line}
        mistakes = {("COMMAND_NOT_FOUND", "info"), ("FILE_NOT_FOUND", "info"), ("INVALID_PATH", "info")}
        self.assertLessEqual(mistakes, failed)
        self.assertLessEqual({code for code, level in failed if level == "warn"}, errors.OWN_FAULTS)
        refused = {line["error"] for line in self.events("access") if line["status"] >= 400 and "error" in line}
        self.assertLessEqual({"TOKEN_EXPIRED", "TOKEN_INVALID", "EXECUTION_TIMEOUT"}, refused)

    def test_upgrades_are_there(self) -> None:
        paths = [line["path"] for line in self.events("access")]
        self.assertIn(f"/previews/{self.session}/socket", paths)

    # The metrics, and the pages and the dashboard that are about them.

    def value(self, sample: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        family = self.metrics[re.sub("_(total|count|sum)$", "", sample)]
        found = [each.value for each in family.samples if each.name == sample and labels.items() <= each.labels.items()]
        self.assertNotEqual(found, [], sample)
        return sum(found)

    def test_they_tell_what_was_done(self) -> None:
        self.assertEqual(self.value("sandbox_state", state="ready"), 1)
        self.assertEqual(self.value("sandbox_execs_total", outcome="exit not 0"), 1)
        self.assertEqual(self.value("sandbox_execs_total", outcome="timed out"), 1)
        self.assertEqual(self.value("sandbox_execs_total", outcome="not run"), 1)
        self.assertEqual(self.value("sandbox_execs_running"), 0)
        self.assertEqual(self.value("sandbox_file_operations_total", operation="write file", outcome="done"), 1)
        self.assertEqual(self.value("sandbox_previews"), 1)
        self.assertGreaterEqual(self.value("sandbox_sessions"), 1)
        route = "/api/internal/sessions/{sessionId}/exec"
        self.assertEqual(self.value("sandbox_http_requests_total", route=route, method="POST", status="200"), 2)
        self.assertEqual(self.value("sandbox_http_requests_total", route="api", status="403"), 1)
        self.assertGreater(self.value("sandbox_http_requests_total", route="preview", status="200"), 0)
        for code in ("FILE_NOT_FOUND", "COMMAND_NOT_FOUND", "EXECUTION_TIMEOUT", "FORBIDDEN", "MALFORMED_REQUEST"):
            self.assertGreater(self.value("sandbox_errors_total", code=code), 0, code)
        self.assertEqual(self.value("sandbox_answer_memory_bytes"), 0)
        self.assertEqual(self.value("sandbox_http_refused_total", status="400"), 2)
        self.assertEqual(self.value("sandbox_http_refused_total", status="414"), 1)
        self.assertGreater(self.value("sandbox_http_response_bytes_total", route="preview"), 0)
        self.assertGreater(self.value("sandbox_upstream_connections_opened_total"), 0)
        self.assertEqual(self.value("sandbox_engine_events_connected"), 1)
        self.assertGreater(self.value("sandbox_engine_events_age_seconds"), 0)
        self.assertEqual(self.value("sandbox_engine_call_duration_seconds_count", operation="create"), 1)
        self.assertGreater(self.value("sandbox_store_call_duration_seconds_count", operation="add"), 0)
        self.assertEqual(self.value("sandbox_workers_size", pool="database"), 4)
        # F30: the threads that start agents were counted nowhere.
        self.assertEqual(self.value("sandbox_workers_size", pool="engine agents"), 8)
        self.assertGreater(self.value("sandbox_engine_call_duration_seconds_count", operation="start agent"), 0)
        self.assertGreater(self.value("sandbox_reactor_lag_seconds_count"), 0)
        jobs = {each.labels["name"] for each in self.metrics["sandbox_job_runs"].samples}
        self.assertEqual(jobs, {"reactor-lag", "reconciliation", "authorizations", "expired-links", "engine-heartbeat"})
        self.assertEqual(self.value("sandbox_job_runs_total", name="reconciliation"), 1)
        self.assertEqual(self.value("sandbox_job_failures_total", name="reconciliation"), 0)
        self.assertGreater(self.value("process_open_fds"), 5)
        self.assertGreater(self.value("sandbox_log_events_total", level="info"), 10)

    def test_labels_are_few_and_nobody_s(self) -> None:
        routes = {each.labels["route"] for each in self.metrics["sandbox_http_requests"].samples}
        for route in routes:
            self.assertNotIn(self.session, route)
            self.assertRegex(
                route, r"^(preview|internal preview|api|other|/healthz|/readyz|/metrics|/api/internal/[\w{}/.]+)$"
            )

    def test_each_is_there_once_and_has_a_help(self) -> None:
        for family in self.metrics.values():
            self.assertTrue(family.documentation, family.name)
            keys = [(each.name, tuple(sorted(each.labels.items()))) for each in family.samples]
            self.assertEqual(len(keys), len(set(keys)), family.name)

    def test_the_reference_has_exactly_these(self) -> None:
        rows = re.findall(
            r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", (DOCS / "reference/metrics.md").read_text(), re.MULTILINE
        )
        described = {name: (kind, labels, text) for name, kind, labels, text in rows}
        found = {}
        for family in self.metrics.values():
            if family.name.startswith("sandbox_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                names = {label for each in family.samples for label in each.labels} - {"le"}
                found[name] = (family.type, names, family.documentation)
        self.assertEqual(set(described), set(found))
        for name, (kind, names, text) in found.items():
            labels = set(re.findall(r"`(\w+)`", described[name][1]))
            self.assertEqual((described[name][0], described[name][2]), (kind, text), name)
            # What never happened has no labels to show.
            self.assertTrue(names <= labels, name)

    def known(self) -> Iterator[str]:
        """Every name that a query may use."""
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        for family in self.metrics.values():
            for suffix in suffixes.get(family.type, ("",)):
                yield family.name + suffix

    def check_query(self, query: str) -> None:
        names = re.findall(r"\b(?:sandbox|process)_\w+", query)
        self.assertNotEqual(names, [], query)
        for name in names:
            self.assertIn(name, set(self.known()), query)

    def test_every_alert_asks_for_what_there_is(self) -> None:
        queries = [rule["expr"] for rule in rules()]
        self.assertGreater(len(queries), 8)
        for query in queries[1:]:  # The first is Prometheus's own.
            self.check_query(query)

    def test_every_query_of_the_dashboard_asks_for_what_there_is(self) -> None:
        board = json.loads((ROOT / "etc/grafana-dashboard.json").read_text())
        panels = board["panels"]
        self.assertGreaterEqual(board["schemaVersion"], 39)
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
        self.assertGreater(len(queries), 40)
        for query in queries:
            self.check_query(query)
            self.assertEqual(query.count("("), query.count(")"), query)
            self.assertIn('job="$job"', query)
        shown = {name for query in queries for name in re.findall(r"\bsandbox_\w+", query)}
        told = {re.sub(r"_(sum|count)$", "_bucket", name) for name in self.known() if name.startswith("sandbox_")}
        self.assertEqual(told - shown, set(), "metrics that no panel shows")

    def test_f21_alert_panel_and_reference_name_the_daemons_own_faults_and_no_others(self) -> None:
        board = json.loads((ROOT / "etc/grafana-dashboard.json").read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
        alerts = [rule["expr"] for rule in rules()]
        found = [words.split("|") for text in (*alerts, *queries) for words in re.findall(r'code=~"([^"]*)"', text)]
        self.assertEqual(found, [sorted(errors.OWN_FAULTS)] * 2)
        page = (
            (DOCS / "reference/metrics.md")
            .read_text()
            .partition("### The daemon's own faults")[2]
            .partition("\n## ")[0]
        )
        self.assertEqual(set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)), errors.OWN_FAULTS)
        for query in queries:
            self.assertNotIn('status=~"5', query)

    def test_panels_do_not_overlap(self) -> None:
        board = json.loads((ROOT / "etc/grafana-dashboard.json").read_text())
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            self.assertEqual(cells & taken, set(), panel["title"])
            taken |= cells


class Elsewhere(SynchronousTestCase):
    """Daemons that are not as usual."""

    def test_a_log_file_that_was_moved_away_is_begun_anew_at_sighup(self) -> None:
        daemon = Daemon(Path(self.mktemp()))
        daemon.log = daemon.directory / "daemon.log"
        process = daemon.process = twistd(
            ["-n", "--pidfile=", f"--logfile={daemon.log.name}", "sandbox"], daemon.environment, daemon.directory
        )
        self.addCleanup(daemon.stop)
        daemon.wait_until_ready()
        moved = daemon.log.rename(f"{daemon.log}.1")
        process.send_signal(signal.SIGHUP)
        until_seen(daemon.log.exists)
        daemon.call("GET", "sessions")
        self.assertEqual([line["path"] for line in lines(daemon.log) if "path" in line], ["/api/internal/sessions"])
        self.assertNotIn("/api/internal/sessions", moved.read_text())

    def test_while_the_database_is_away_it_lives_and_says_what_it_waits_for(self) -> None:
        nobody = f"postgresql://user:{CANARY}@127.0.0.1:1/none"
        daemon = Daemon(Path(self.mktemp()), {"DATABASE_URL": nobody, "DATABASE_TIMEOUT": "1"})
        with daemon.log.open("ab") as log:
            daemon.process = twistd(["-n", "--pidfile=", "sandbox"], daemon.environment, daemon.directory, stderr=log)
        self.addCleanup(daemon.stop)
        until_seen(lambda: "cannot open the store" in daemon.log.read_text())
        found = re.search(r"Site starting on (\d+)", daemon.log.read_text())
        assert found is not None, daemon.log.read_text()
        daemon.port = int(found[1])
        self.assertEqual(daemon.call("GET", "/healthz")["state"], "starting")
        told = daemon.call("GET", "/readyz", status=503)
        self.assertEqual((told["status"], told["code"]), ("starting", "NOT_READY"))
        self.assertIn("The store cannot be opened", told["message"])
        status, page = daemon.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b'sandbox_state{state="starting"} 1.0', page)
        self.assertEqual(daemon.request("GET", "/previews/x/")[0], 503)
        self.assertNotIn(CANARY, daemon.log.read_text() + json.dumps(told))
