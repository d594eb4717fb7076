"""``doctor``: each thing that can be wrong with a machine is found, and what to do about it said."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from docker.types import IPAMConfig, IPAMPool
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.command import CommandCase, run
from tests.daemon import KEY, Daemon
from tests.engine import BUSYBOX, ENGINE_URL, client, ensure_busybox

STRONG_KEY = "k" * 32


class DoctorCase(SynchronousTestCase):
    """A healthy machine, of which each test makes one thing ill."""

    def setUp(self) -> None:
        engine = client()
        ensure_busybox(engine)
        engine.close()
        self.directory = Path(tempfile.mkdtemp(prefix="doctor-"))
        self.addCleanup(shutil.rmtree, self.directory)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.environment = {
            "INTERNAL_SERVICE_KEY": STRONG_KEY,
            "DOCKER_HOST": ENGINE_URL,
            "SESSION_IMAGE": BUSYBOX,
            "SESSION_NETWORK": f"sandbox-test-{secrets.token_hex(6)}",
            "STATE_DIRECTORY": str(self.directory / "state"),
            "PORT": str(self.port),
            "SANDBOX_URL": f"http://127.0.0.1:{self.port}",
        }

    def examine(self, *arguments: str, healthy: bool = False, **environment: str) -> dict[str, dict[str, Any]]:
        """The worst finding of each check; the exit status must say the same."""
        done = run("doctor", "--json", *arguments, environment={**self.environment, **environment})
        self.assertEqual((done.returncode, done.stderr), (0 if healthy else 1, b""), done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual(report["healthy"], healthy)
        worst: dict[str, dict[str, Any]] = {}
        for finding in report["findings"]:
            self.assertEqual("fix" in finding, finding["level"] != "ok", finding)
            known = worst.setdefault(finding["check"], finding)
            if ("ok", "warning", "failed").index(finding["level"]) > ("ok", "warning", "failed").index(known["level"]):
                worst[finding["check"]] = finding
        return worst

    def only(self, check: str, level: str, *words: str, env_file: Path | None = None, **how: Any) -> None:
        """One thing is found, and it is this; that no daemon runs is no wonder here."""
        arguments = () if env_file is None else ("--env-file", str(env_file))
        found = self.examine(*arguments, healthy=level != "failed", **how)
        bad = {name: one for name, one in found.items() if one["level"] != "ok" and name != "daemon"}
        self.assertEqual({name: one["level"] for name, one in bad.items()}, {check: level})
        for word in words:
            self.assertIn(word, f"{bad[check]['message']} {bad[check]['fix']}")


class Machine(DoctorCase):
    def test_a_machine_that_is_fit_while_the_daemon_is_down(self) -> None:
        found = self.examine(healthy=True)
        self.assertEqual(
            {name: one["level"] for name, one in found.items()},
            {
                **dict.fromkeys(("versions", "settings", "key", "permissions", "engine", "network", "image"), "ok"),
                **{"store": "ok", "port": "ok", "daemon": "warning"},
            },
        )
        self.assertIn("twistd -n sandbox", found["daemon"]["fix"])
        self.assertFalse((self.directory / "state").exists(), "it only looks")

    def test_it_is_told_in_lines_with_the_fix_below(self) -> None:
        done = run("doctor", environment={**self.environment, "DOCKER_HOST": "unix:///nowhere/docker.sock"})
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        text = done.stdout.decode()
        self.assertRegex(text, r"(?m)^ok +versions +sandbox [0-9.]+")
        self.assertRegex(text, r"(?m)^failed +engine +there is no socket /nowhere/docker\.sock.*\n +fix: Start it")
        self.assertTrue(text.endswith("1 failed, 1 warnings.\n"), text)

    def test_every_wrong_variable_is_told(self) -> None:
        found = json.loads(
            run(
                "doctor", "--json", environment={**self.environment, "HOST": "somewhere", "EXEC_KILL_TIMEOUT": "soon"}
            ).stdout
        )
        wrong = [one["message"].split()[0] for one in found["findings"] if one["level"] == "failed"]
        self.assertEqual(sorted(wrong), ["EXEC_KILL_TIMEOUT", "HOST"])
        self.only("settings", "failed", "JWT_SECRET is required", ENABLE_PREVIEW_ACCESS_CONTROL="true")

    def test_the_key(self) -> None:
        self.only("key", "failed", "openssl rand", INTERNAL_SERVICE_KEY="")
        self.only("key", "warning", "can be guessed", INTERNAL_SERVICE_KEY="short")
        self.only("key", "warning", "JWT_SECRET", JWT_SECRET="short")

    def test_the_daemons_variables_can_come_from_its_file(self) -> None:
        file = self.directory / "sandbox.env"
        file.write_text(f"# the daemon's\nINTERNAL_SERVICE_KEY='{STRONG_KEY}'\nSESSION_IMAGE=nobody/nothing:1\n")
        file.chmod(0o600)
        found = self.examine("--env-file", str(file), INTERNAL_SERVICE_KEY="")
        self.assertEqual((found["key"]["level"], found["image"]["level"]), ("ok", "failed"))
        self.assertIn(
            "different", self.examine("--env-file", str(file), INTERNAL_SERVICE_KEY="other")["key"]["message"]
        )
        file.chmod(0o640)
        self.assertIn(f"chmod 600 {file}", self.examine("--env-file", str(file))["permissions"]["fix"])
        file.write_text("export A=b\n")
        done = run("doctor", "--env-file", str(file), environment=self.environment)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"line 1", done.stderr)

    def test_f17_mistyped_names_are_told(self) -> None:
        file = self.directory / "sandbox.env"
        file.write_text("# c\nSESION_IMAGE=nobody/nothing:1\nPGSSLMODE=disable\nSANDBOX_URL=http://127.0.0.1:1\n")
        file.chmod(0o600)
        self.only("settings", "warning", f"{file}: line 2", "did you mean SESSION_IMAGE?", env_file=file)
        self.only("settings", "warning", "did you mean JWT_SECRET?", JWT_SECERT="s" * 32)
        self.assertEqual(self.examine(healthy=True, SESSION_MANAGER="local/x", OTHER="1")["settings"]["level"], "ok")

    def test_a_configuration_file_that_others_can_read(self) -> None:
        file = self.directory / "config.toml"
        file.write_text(f'key = "{STRONG_KEY}"')
        file.chmod(0o644)
        found = self.examine(SANDBOX_CONFIG=str(file))
        self.assertEqual((found["settings"]["level"], found["permissions"]["level"]), ("failed", "warning"))
        file.chmod(0o600)
        self.assertEqual(self.examine(SANDBOX_CONFIG=str(file), healthy=True)["key"]["level"], "ok")


class Store(DoctorCase):
    def test_a_sound_database_and_one_that_is_not(self) -> None:
        state = self.directory / "state"
        state.mkdir()
        with closing(sqlite3.connect(state / "sandbox.db")) as database:
            database.execute("CREATE TABLE t (x)")
            database.commit()
        (state / "sandbox.db").chmod(0o600)
        self.assertIn("is sound", self.examine(healthy=True)["store"]["message"])
        (state / "sandbox.db").chmod(0o644)
        self.only("permissions", "warning", "chmod 600")
        (state / "sandbox.db").chmod(0o600)
        (state / "sandbox.db").write_bytes(b"no database" * 1000)
        self.only("store", "failed", "backup")

    def test_a_path_that_cannot_be_one(self) -> None:
        (self.directory / "file").write_text("")
        self.only("store", "failed", "STATE_DIRECTORY", STATE_DIRECTORY=str(self.directory / "file" / "below"))

    def test_a_postgresql_that_is_not_there(self) -> None:
        url = f"postgresql://user:pass-word-1@127.0.0.1:{self.port}/name"
        done = run("doctor", "--json", environment={**self.environment, "DATABASE_URL": url})
        self.assertNotIn(b"pass-word-1", done.stdout)
        self.only("store", "failed", "PostgreSQL", "DATABASE_URL", DATABASE_URL=url)
        self.only("store", "failed", "does not parse", DATABASE_URL="postgresql://user@host/name?nothing=1")


class Port(DoctorCase):
    def test_a_port_that_another_program_has(self) -> None:
        with closing(socket.create_server(("127.0.0.1", self.port))):
            found = self.examine(SANDBOX_URL="http://127.0.0.1:1")
        self.assertIn("another program listens", found["port"]["message"])

    def test_f47_an_internal_api_that_the_network_reaches(self) -> None:
        self.only("port", "warning", "INTERNAL_LISTEN=tcp:4003", HOST="0.0.0.0")
        apart = self.examine(healthy=True, HOST="0.0.0.0", INTERNAL_LISTEN="tcp:0:interface=127.0.0.1")
        self.assertEqual(apart["port"]["level"], "ok")

    def test_an_address_that_is_not_this_machines(self) -> None:
        self.only("port", "failed", "HOST has to be", HOST="192.0.2.1")


class Engine(DoctorCase):
    def test_an_engine_that_does_not_answer(self) -> None:
        path = str(self.directory / "docker.sock")
        found = self.examine(DOCKER_HOST=f"unix://{path}")
        self.assertEqual(found["engine"]["level"], "failed")
        self.assertNotIn("image", found, "without an engine there is nothing to be asked")
        with closing(socket.socket(socket.AF_UNIX)) as nobody:
            nobody.bind(path)
            self.assertIn("no Docker engine answers", self.examine(DOCKER_HOST=f"unix://{path}")["engine"]["message"])
        self.assertIn("no Docker", self.examine(DOCKER_HOST=f"tcp://127.0.0.1:{self.port}")["engine"]["message"])

    def test_an_image_that_is_missing(self) -> None:
        self.only("image", "failed", "docker pull nobody/nothing:1", SESSION_IMAGE="nobody/nothing:1")

    def test_a_runtime_that_the_engine_does_not_have(self) -> None:
        self.only("engine", "failed", "CONTAINER_RUNTIME", CONTAINER_RUNTIME="no-such-runtime")

    def test_a_network_that_lets_sessions_reach_each_other(self) -> None:
        name = self.environment["SESSION_NETWORK"]
        engine = client()
        self.addCleanup(engine.close)
        engine.create_network(name, driver="bridge")
        self.addCleanup(engine.remove_network, name)
        self.only("network", "failed", "reach each other", f"docker network rm {name}")
        self.assertEqual(self.examine(healthy=True, SESSION_NETWORK_SHARED="true")["network"]["level"], "ok")
        self.only("network", "warning", "previews", SESSION_NETWORK="none")

    def test_f48_another_interface_in_the_way_of_the_network_is_named(self) -> None:
        # 198.18.0.0/15 is for tests of networks (RFC 2544): nothing else is there.
        subnet = f"198.18.{secrets.randbelow(256)}"
        stale = f"st{secrets.token_hex(4)}"
        ip("link", "add", stale, "type", "bridge")
        self.addCleanup(ip, "link", "delete", stale)
        ip("address", "add", f"{subnet}.1/24", "dev", stale)
        ip("link", "set", stale, "up")
        name = self.environment["SESSION_NETWORK"]
        engine = client()
        self.addCleanup(engine.close)
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=f"{subnet}.0/24", gateway=f"{subnet}.2")])
        options = {"com.docker.network.bridge.enable_icc": "false"}
        made = engine.create_network(name, driver="bridge", ipam=pool, options=options)
        self.addCleanup(engine.remove_network, name)
        bridge = f"br-{made['Id'][:12]}"
        self.only("network", "failed", f"by {stale} and not by its bridge {bridge}", f"ip link delete {stale}")
        ip("address", "flush", "dev", stale)
        self.assertEqual(self.examine(healthy=True)["network"]["level"], "ok")

    def test_f35_a_limit_of_disk_space_that_the_engine_cannot_keep(self) -> None:
        self.only("engine", "failed", "SESSION_DISK_MB", "pquota", SESSION_DISK_MB="100")


def ip(*arguments: str) -> None:
    """Change the machine's interfaces; needs root."""
    subprocess.run(["ip", *arguments], check=True)


class Running(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.environment = {
            **type(self).environment,
            "PORT": str(self.daemon.port),
            "SESSION_IMAGE": BUSYBOX,
            "STATE_DIRECTORY": self.daemon.environment["STATE_DIRECTORY"],
        }

    def findings(self, **environment: str) -> dict[str, dict[str, Any]]:
        done = self.run_it("doctor", "--json", **environment)
        return {one["check"]: one for one in json.loads(done.stdout)["findings"]}

    def test_a_daemon_that_runs_is_found_and_has_the_port(self) -> None:
        found = self.findings()
        self.assertEqual(
            (found["daemon"]["level"], found["port"]["level"], found["store"]["level"]), ("ok", "ok", "ok")
        )
        self.assertIn("the daemon listens", found["port"]["message"])
        self.assertIn("is sound", found["store"]["message"])

    def test_a_key_that_the_daemon_refuses(self) -> None:
        found = self.findings(INTERNAL_SERVICE_KEY=STRONG_KEY)
        self.assertEqual((found["daemon"]["level"], found["port"]["level"]), ("failed", "ok"))
        self.assertIn("refuses the key", found["daemon"]["message"])
        self.assertNotEqual(KEY, STRONG_KEY)

    def test_a_daemon_that_keeps_its_api_elsewhere_still_has_the_port(self) -> None:
        path = f"/tmp/sandbox-test-{secrets.token_hex(6)}.sock"
        other = Daemon(self.directory / "other", {"INTERNAL_LISTEN": f"unix:{path}"})
        other.start()
        self.addCleanup(other.stop)
        found = self.findings(PORT=str(other.port), SANDBOX_URL=f"unix:{path}", STATE_DIRECTORY=str(self.work))
        self.assertEqual((found["daemon"]["level"], found["port"]["level"]), ("ok", "ok"))
        self.assertEqual(self.good("ls", SANDBOX_URL=f"unix:{path}").split()[0], "ID")
