"""docs/how-to/deploy.md on a machine with systemd, and what the unit promises."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect

from sandbox.settings.env_file import read_env_file
from tests.deployment.pages import type_page
from tests.deployment.server import Server, server
from tests.settings.test_env_file import READ

KEY = "$(sed -n 's/^INTERNAL_SERVICE_KEY=//p' /etc/sandbox/sandbox.env)"
#: New connections by four threads until /root/enough is there; prints how often each outcome was seen.
LOAD = """
import collections, http.client, os, sys, threading
outcomes = collections.Counter()
def load():
    while not os.path.exists("/root/enough"):
        connection = http.client.HTTPConnection("127.0.0.1", 4002, timeout=30)
        try:
            connection.request("GET", "/api/internal/sessions", headers={"X-Internal-Service-Key": sys.argv[1]})
            outcomes[str(connection.getresponse().status)] += 1
        except Exception as error:
            outcomes[type(error).__name__] += 1
        finally:
            connection.close()
threads = [threading.Thread(target=load) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(dict(outcomes))
"""


@cache
def deployed() -> tuple[Server, str]:
    """The server after the page, and what of the page did not go as it says."""
    found = server()
    return found, type_page(found, "how-to/deploy.md")


class DeployedCase(SynchronousTestCase):
    """The server as the page leaves it."""

    server: ClassVar[Server]

    @classmethod
    def setUpClass(cls) -> None:
        """Type the page, once for all; fails when something does not go as it says."""
        cls.server, failure = deployed()
        if failure:
            raise AssertionError(failure)

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.server.run(f"systemctl show --value --property={name} sandbox.service").strip()

    def listed(self, key: str) -> str:
        """The status of a call of the API with a key."""
        write = "--silent --output /dev/null --write-out '%{http_code}'"
        url = "http://127.0.0.1:4002/api/internal/sessions"
        return self.server.run(f'curl {write} --header "X-Internal-Service-Key: {key}" {url}')

    def override(self, text: str) -> None:
        """Have the unit differ from what is in etc/ until the test ends."""
        path = "/run/systemd/system/sandbox.service.d"
        change = "systemctl daemon-reload && systemctl reset-failed sandbox && systemctl restart sandbox"
        self.addCleanup(self.server.run, f"rm -r {path} && {change}")
        self.server.run(f"mkdir -p {path} && printf '[Service]\\n{text}\\n' > {path}/test.conf && {change}")


class Unit(DeployedCase):
    def test_the_page_is_true(self) -> None:
        """The class's own setting up has typed it; the daemon that it made answers."""
        self.assertEqual(self.listed(KEY), "200")

    def test_the_units_are_sound_and_their_exposure_is_low(self) -> None:
        units = "/etc/systemd/system/sandbox.service /etc/systemd/system/sandbox.socket"
        self.assertEqual(self.server.run(f"systemd-analyze verify --man=no {units}"), "")
        self.server.run("systemd-analyze security --no-pager --offline=true --threshold=15 etc/sandbox.service")
        judged = self.server.run("systemd-analyze security --no-pager sandbox.service")
        score = re.search(r"exposure level for sandbox.service: ([0-9.]+)", judged)
        self.assertIsNotNone(score, judged)
        page = Path(__file__).parents[2] / "docs" / "how-to" / "deploy.md"
        self.assertIn(f"calls that {score[1] if score else ''} of 10", page.read_text("utf-8"))

    def test_restarts_under_load_refuse_no_connection(self) -> None:
        self.server.put("/root", {"load.py": LOAD.encode()})
        self.server.run("rm -f /root/enough")
        command = f'python3 /root/load.py "{KEY}"'
        load = subprocess.Popen([*self.server.shell, "bash", "-c", command], stdout=subprocess.PIPE, text=True)
        try:
            for _ in range(3):
                self.server.run("sleep 0.5; systemctl restart sandbox")
            self.server.run("sleep 0.5; touch /root/enough")
            printed = load.communicate(timeout=60)[0]
        finally:
            self.server.run("touch /root/enough")
            load.wait(60)
        outcomes = json.loads(printed.replace("'", '"'))
        # STARTING, for a moment, is an answer; a connection refused or dropped is none.
        self.assertLessEqual(set(outcomes), {"200", "503"}, outcomes)
        self.assertGreater(outcomes["200"], 100, outcomes)

    def test_reload_takes_a_key_and_leaves_all_as_it_was_when_the_file_is_wrong(self) -> None:
        self.server.run("cp --preserve=all /etc/sandbox/sandbox.env /root/before")
        self.addCleanup(
            self.server.run, "cp --preserve=all /root/before /etc/sandbox/sandbox.env; systemctl reload sandbox"
        )
        process = self.show("MainPID")
        self.server.run(
            "sed -i 's/^INTERNAL_SERVICE_KEY=.*/INTERNAL_SERVICE_KEY=\"another one\"/' /etc/sandbox/sandbox.env"
        )
        self.assertEqual(
            (self.listed("another one"), self.listed(KEY.replace("sandbox.env", "../../root/before"))), ("403", "200")
        )
        self.server.run("systemctl reload sandbox")
        self.server.until("journalctl -u sandbox -o cat | grep 'changed: INTERNAL_SERVICE_KEY'")
        self.assertEqual(
            (self.listed("another one"), self.listed(KEY.replace("sandbox.env", "../../root/before"))), ("200", "403")
        )
        self.server.run("sed -i 's/another one/a third/; s/^#MAX_EXECS=.*/MAX_EXECS=many/' /etc/sandbox/sandbox.env")
        self.server.run("systemctl reload sandbox")
        self.server.until("journalctl -u sandbox -o cat | grep 'line [0-9]*: MAX_EXECS must be'")
        self.assertEqual((self.listed("another one"), self.listed("a third")), ("200", "403"))
        self.assertEqual((self.show("MainPID"), self.show("ActiveState")), (process, "active"))

    def test_a_daemon_that_hangs_is_killed_and_started_anew(self) -> None:
        self.override("WatchdogSec=1")
        process = self.show("MainPID")
        self.server.run(f"kill -STOP {process}")
        self.server.until("journalctl -u sandbox -o cat | grep 'Watchdog timeout'")
        self.server.until(
            f'test "$(systemctl show --value -p MainPID sandbox)" != {process} && systemctl is-active sandbox'
        )
        self.assertEqual(self.listed(KEY), "200")

    def test_a_stop_lets_a_command_finish_and_ends_with_status_0(self) -> None:
        self.addCleanup(self.server.run, "systemctl start sandbox")
        command = "sandbox exec -s demo 'sleep 2; echo done'"
        running = subprocess.Popen([*self.server.shell, "bash", "-c", command], stdout=subprocess.PIPE, text=True)
        self.server.until(
            "docker exec $(docker ps --quiet --filter label=sandbox.session.id=demo) ps | grep 'sleep 2$'"
        )
        self.server.run("systemctl stop sandbox")
        self.assertEqual(running.communicate(timeout=60)[0], "done\n")
        self.assertEqual(
            [self.show(name) for name in ("Result", "ExecMainCode", "ExecMainStatus")], ["success", "1", "0"]
        )

    def test_the_daemon_reads_its_file_as_systemd_does(self) -> None:
        numbers = range(len(READ))
        self.server.put("/root", {f"env{number}": f"{READ[number][0]}\n".encode() for number in numbers})
        unit = (
            "[Service]\nType=oneshot\nEnvironmentFile=/root/env%i\nExecStart=/bin/sh -c 'printenv A > /root/read%i'\n"
        )
        self.server.put("/etc/systemd/system", {"read@.service": unit.encode()})
        self.server.run(f"systemctl start {' '.join(f'read@{number}' for number in numbers)}")
        read = self.server.run(f"for n in {' '.join(map(str, numbers))}; do base64 -w0 /root/read$n; echo; done")
        found = [base64.b64decode(line).decode() for line in read.splitlines()]
        self.assertEqual(found, [f"{read_env_file(text)['A'].value}\n" for text, _ in READ])


class Proxies(DeployedCase):
    """What goes through nginx and Caddy, with TLS, from another machine."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        application = Path(__file__).with_name("application.py").read_bytes()
        cls.server.put("/root", {"application.py": application})
        cls.server.run(
            "sandbox up proxied --image python:3.11-slim-bookworm --user alice"
            " && sandbox cp /root/application.py proxied:"
            " && sandbox exec -s proxied 'python3 application.py >/dev/null 2>&1 &'"
            " && sandbox preview add proxied 3000 && sandbox preview health proxied --wait 20"
        )
        cls.addClassCleanup(cls.server.run, "sandbox rm -f proxied")
        cls.trust = ssl.create_default_context(cadata=cls.server.run("cat /etc/ssl/sandbox/fullchain.pem"))

    def through(self, proxy: str) -> None:
        """Have this proxy in front, and the other one not."""
        self.server.run(f"systemctl stop nginx caddy; systemctl start {proxy}")

    def connection(self, host: str = "3000-proxied.preview.example.net") -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, timeout=30)
        self.addCleanup(connection.close)
        connection.sock = self.trust.wrap_socket(
            socket.create_connection((self.server.address, 443), 30), server_hostname=host
        )
        return connection

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        connection = self.connection()
        connection.request(method, path, body, headers)
        return json.loads(connection.getresponse().read())

    def look(self) -> None:
        """What previews want of a proxy."""
        host = "3000-proxied.preview.example.net"
        spoof = {
            "X-Forwarded-For": "6.6.6.6",
            "X-Forwarded-Host": "evil",
            "X-Forwarded-Proto": "http",
            "Forwarded": "for=6",
        }
        seen = self.ask("GET", "/a%2Fb//c?d=%20", **spoof)
        self.assertEqual(seen["path"], "/a%2Fb//c?d=%20")
        forwarded = {name: seen["headers"].get(f"x-forwarded-{name}") for name in ("host", "proto", "for")}
        self.assertEqual((forwarded["host"], forwarded["proto"]), (host, "https"))
        self.assertNotIn("6.6.6.6", str(forwarded["for"]))
        self.assertNotIn("for=6", seen["headers"].get("forwarded", ""))
        self.assertEqual(self.ask("GET", "/metrics")["path"], "/metrics")
        # 20 MiB, past every default limit of a proxy's.
        body = os.urandom(20 << 20)
        told = self.ask("POST", "/upload", body)
        self.assertEqual(told, {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})
        self._look_at_a_stream()
        self._look_at_a_websocket(host)
        for path in (
            "/api/internal/sessions",
            "/api/internal/",
            "/internal-previews/proxy/proxied/",
            "/metrics",
            "/readyz",
        ):
            connection = self.connection("sandbox.example.com")
            connection.request("GET", path, headers={"X-Internal-Service-Key": "any"})
            self.assertEqual(connection.getresponse().status, 404, path)
        self._look_for_ways_around(host)
        connection = self.connection("sandbox.example.com")
        connection.request("GET", "/previews/proxied/x")
        self.assertEqual(json.loads(connection.getresponse().read())["path"], "/x")

    def _look_for_ways_around(self, host: str) -> None:
        """What is kept from the outside under our own name is kept under every other, too."""
        key = {
            "X-Internal-Service-Key": self.server.run(
                "sed -n 's/^INTERNAL_SERVICE_KEY=//p' /etc/sandbox/sandbox.env"
            ).strip()
        }
        for name in ("www.preview.example.net", "99999-proxied.preview.example.net"):
            connection = self.connection(name)
            connection.request("GET", "/api/internal/sessions", headers=key)
            self.assertEqual(connection.getresponse().status, 404, name)
        for line, name in ((host, "sandbox.example.com"), ("sandbox.example.com", host)):
            connection = self.connection(line)
            connection.putrequest("GET", f"https://{line}/api/internal/sessions", skip_host=True)
            connection.putheader("Host", name)
            connection.putheader("X-Internal-Service-Key", key["X-Internal-Service-Key"])
            connection.endheaders()
            self.assertNotIn(b'"sessions"', connection.getresponse().read())
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        for unknown in (None, "elsewhere.example"):
            with socket.create_connection((self.server.address, 443), 30) as wire, self.assertRaises(OSError):
                anybody.wrap_socket(wire, server_hostname=unknown)

    def _look_at_a_stream(self) -> None:
        """The second part comes only when the first has arrived: a proxy that waits for more never lets it."""
        connection = self.connection()
        connection.request("GET", "/stream")
        response = connection.getresponse()
        self.assertEqual(response.read1(5), b"first")
        self.assertEqual(self.ask("GET", "/seen"), "seen")
        self.assertEqual(response.read(), b"second")

    def _look_at_a_websocket(self, host: str) -> None:
        wire = socket.create_connection((self.server.address, 443), 30)
        with connect(
            f"wss://{host}/", sock=wire, ssl=self.trust, proxy=None, compression=None, open_timeout=30
        ) as websocket:
            websocket.send("through")
            self.assertEqual(websocket.recv(timeout=30), "through")

    def _look_at_port_80(self, host: str) -> None:
        """F29: only our own names are sent on to https; another host is not a place to send a browser to."""
        for name in (host, "sandbox.example.com"):
            connection = http.client.HTTPConnection(self.server.address, 80, timeout=30)
            self.addCleanup(connection.close)
            connection.request("GET", "/a?b", headers={"Host": name})
            response = connection.getresponse()
            self.assertEqual((response.status, response.getheader("Location")), (308, f"https://{name}/a?b"))
        for name in ("evil.example", "sandbox.example.com.evil.example", self.server.address):
            connection = http.client.HTTPConnection(self.server.address, 80, timeout=30)
            self.addCleanup(connection.close)
            connection.request("GET", "/a?b", headers={"Host": name})
            with contextlib.suppress(ConnectionError):
                self.assertIsNone(connection.getresponse().getheader("Location"), name)

    def test_nginx(self) -> None:
        self.through("nginx")
        self._look_at_port_80("3000-proxied.preview.example.net")
        self.look()

    def test_caddy(self) -> None:
        self.through("caddy")
        validated = self.server.run("caddy validate --adapter caddyfile --config etc/Caddyfile-example")
        self.assertIn("Valid configuration", validated)
        self._look_at_port_80("3000-proxied.preview.example.net")
        self.look()
