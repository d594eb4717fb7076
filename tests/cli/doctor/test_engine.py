"""``sandbox.cli.doctor``: what cannot be had on every machine, an engine of another kind and a user without rights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sandbox.cli.doctor import engine as engine_checks
from sandbox.cli.doctor import machine
from sandbox.cli.doctor import network as network_checks
from sandbox.cli.doctor.environment import settings_of
from sandbox.cli.doctor.finding import Finding, Level, Patient


class Elsewhere(SynchronousTestCase):
    """What cannot be had on every machine: an engine of another kind, a user without rights."""

    class Engine:
        """An engine that describes itself as it is told."""

        def __init__(self, version: dict[str, Any], info: dict[str, Any]) -> None:
            self.version = lambda: {"Version": "1", "ApiVersion": "1.41", "Os": "linux", **version}
            self.info = lambda: {"Architecture": "x86_64", "Runtimes": {"runc": {}}, **info}

    def patient(self, **environment: str) -> Patient:
        settings, errors = settings_of({"INTERNAL_SERVICE_KEY": "k", **environment}, None)
        self.assertEqual(errors, [])
        return Patient(environment=environment, settings=settings, url="http://127.0.0.1:1", key="k")

    def judged(self, version: dict[str, Any], info: dict[str, Any]) -> list[Finding]:
        return list(engine_checks._version(self.Engine(version, info), self.patient()))

    def test_engines_that_will_not_do(self) -> None:
        for version, info, words in (
            ({"ApiVersion": "1.40"}, {}, "too old"),
            ({"ApiVersion": "1.9"}, {}, "too old"),
            ({"Os": "windows"}, {}, "windows"),
            ({}, {"Architecture": "riscv64"}, "riscv64"),
        ):
            (found,) = self.judged(version, info)
            self.assertEqual(found.level, Level.FAILED)
            self.assertIn(words, found.message)
        self.assertEqual([one.level for one in self.judged({"ApiVersion": "1.52"}, {})], [Level.OK])

    def test_limits_that_the_engine_cannot_enforce(self) -> None:
        fine, *warnings = self.judged({}, {"MemoryLimit": False, "PidsLimit": False, "CpuCfsQuota": True})
        self.assertEqual(fine.level, Level.OK)
        self.assertEqual([one.message.split()[3] for one in warnings], ["memory", "process"])

    def named(self, version: str, resolver: str) -> list[Finding]:
        """What is found of an internal network's names by an engine and its host's resolver."""
        engine = self.Engine({"Version": version}, {})
        engine.inspect_network = lambda name: {  # type: ignore[attr-defined]
            "Id": "0" * 64,
            "Internal": True,
            "Options": {"com.docker.network.bridge.enable_icc": "false"},
        }
        resolvers = Path(self.mktemp())
        resolvers.write_text(f"# who knows\nnameserver {resolver}\n")
        patient = self.patient(SESSION_NETWORK_INTERNAL="true")
        return list(network_checks.check_network(engine, patient, resolvers))[1:]

    def test_f49_an_engine_that_resolves_names_for_an_internal_network(self) -> None:
        for version in ("20.10.24+dfsg1", "23.0.10", "24.0.9", "25.0.3"):
            for resolver in ("127.0.0.53", "::1"):
                (found,) = self.named(version, resolver)
                self.assertEqual((found.level, "CVE-2024-29018" in str(found.fix)), (Level.WARNING, True), version)
            self.assertEqual(self.named(version, "192.0.2.53"), [])
        for version in ("23.0.11", "25.0.5", "26.0.0", "28.2.2"):
            self.assertEqual(self.named(version, "127.0.0.53"), [], version)

    def test_a_user_without_rights(self) -> None:
        self.patch(os, "access", lambda *arguments: False)
        path = Path(self.mktemp())
        path.write_bytes(b"")
        found = engine_checks._unreachable(f"unix://{path}")
        self.assertIn("usermod -aG docker", str(found.fix))
        (store,) = machine.check_store(self.patient(STATE_DIRECTORY=str(path.absolute().parent)))
        self.assertEqual((store.level, "STATE_DIRECTORY" in str(store.fix)), (Level.FAILED, True))
