"""``sandbox.runtimes.docker.network``: the sessions' network, checked, and made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from unittest import mock

import docker
import requests
from twisted.trial.unittest import SynchronousTestCase

from sandbox.runtimes.docker.network import BRIDGE_OPTION, ensure_network, network_fault, network_options
from sandbox.settings import parse
from tests.runtimes.docker.site import Site

INSTANCE = "0123456789ab"


def options(engine_id: str = "engine", **environment: str) -> dict[str, Any]:
    """A network's options under an environment."""
    return network_options(parse({"INTERNAL_SERVICE_KEY": "x", **environment}), INSTANCE, engine_id)


def bridge(engine_id: str = "engine", **environment: str) -> str:
    """The name of its interface."""
    name: str = options(engine_id, **environment)["options"][BRIDGE_OPTION]
    return name


class OptionTests(SynchronousTestCase):
    """What the engine is asked for."""

    def test_containers_cannot_reach_each_other_on_it(self) -> None:
        self.assertEqual(options()["options"]["com.docker.network.bridge.enable_icc"], "false")
        self.assertEqual((options()["driver"], options()["internal"]), ("bridge", False))

    def test_internal_by_configuration(self) -> None:
        self.assertIs(options(SESSION_NETWORK_INTERNAL="true")["internal"], True)

    def test_its_interface_is_the_same_each_time_and_no_other_networks(self) -> None:
        self.assertEqual(bridge(), bridge())
        self.assertEqual(len({bridge(), bridge(SESSION_NETWORK="other"), bridge("another engine")}), 3)

    def test_linux_takes_the_interfaces_name(self) -> None:
        self.assertRegex(bridge(SESSION_NETWORK="a-long_name.of-a-network"), r"^[a-z0-9-]{1,15}$")  # IFNAMSIZ


class FaultTests(SynchronousTestCase):
    """What there is is checked."""

    def fault(self, described: dict[str, Any], **environment: str) -> str | None:
        """What is wrong with an existing network."""
        return network_fault(described, parse({"INTERNAL_SERVICE_KEY": "x", **environment}))

    def test_one_that_lets_containers_reach_each_other_is_refused(self) -> None:
        on = {"Options": {"com.docker.network.bridge.enable_icc": "true"}}
        for described in (on, {"Options": {}}, {"Options": None}, {}):
            self.assertIn("SESSION_NETWORK_SHARED", self.fault(described) or "")
            self.assertIsNone(self.fault(described, SESSION_NETWORK_SHARED="true"))

    def test_ours_is_not(self) -> None:
        self.assertIsNone(self.fault({"Options": {"com.docker.network.bridge.enable_icc": "false"}}))

    def test_one_with_a_way_out_is_refused_where_none_may_be(self) -> None:
        described = {"Options": {"com.docker.network.bridge.enable_icc": "false"}, "Internal": False}
        self.assertIn("SESSION_NETWORK_INTERNAL", self.fault(described, SESSION_NETWORK_INTERNAL="true") or "")
        self.assertIsNone(self.fault({**described, "Internal": True}, SESSION_NETWORK_INTERNAL="true"))


class EnsureTests(SynchronousTestCase):
    """It is made once, whoever else makes it."""

    def test_several_daemons_that_make_it_at_the_same_time_get_the_same(self) -> None:
        site = Site()
        self.addCleanup(site.close)
        settings = site.settings()
        daemons = 6
        together = Barrier(daemons)

        class Late(docker.APIClient):  # type: ignore[misc]
            """A client whose first look is over before anybody makes anything."""

            looked = False

            def inspect_network(self, name: str) -> Any:
                """As the engine says."""
                try:
                    return super().inspect_network(name)
                finally:
                    if not self.looked:
                        self.looked = True
                        together.wait(30)

        def daemon(_: int) -> str:
            engine = Late(base_url=site.url, version="1.41", timeout=60)
            try:
                found: str = ensure_network(engine, settings, site.instance)["Id"]
                return found
            finally:
                engine.close()

        with ThreadPoolExecutor(daemons) as threads:
            found = set(threads.map(daemon, range(daemons)))
        there = [row["Id"] for row in site.engine.networks(names=[site.network]) if row["Name"] == site.network]
        self.assertEqual([*found], there)

    def refused(self, status: int, message: str) -> docker.errors.APIError:
        """An engine's refusal."""
        response = requests.Response()
        response.status_code = status
        return docker.errors.APIError(message, response=response, explanation=message)

    def engine(self, *, looks: list[Any], making: Exception) -> mock.Mock:
        """An engine that answers so."""
        engine = mock.Mock(spec=docker.APIClient)
        engine.info.return_value = {"ID": "engine"}
        engine.inspect_network.side_effect = looks
        engine.create_network.side_effect = making
        return engine

    def test_newer_engines_say_that_it_is_there(self) -> None:
        # Docker 25 and later refuse a second network of a name.
        absent = docker.errors.NotFound("no such network")
        engine = self.engine(looks=[absent, absent, {"Id": "n"}], making=self.refused(409, "already exists"))
        settings = parse({"INTERNAL_SERVICE_KEY": "x"})
        self.assertEqual(ensure_network(engine, settings, INSTANCE), {"Id": "n"})

    def test_what_never_comes_is_told_in_the_end(self) -> None:
        refusal = self.refused(403, "networks have same bridge name")
        absent = docker.errors.NotFound("no such network")
        engine = self.engine(looks=[absent] * 100, making=refusal)
        settings = parse({"INTERNAL_SERVICE_KEY": "x", "ENGINE_TIMEOUT": "0.2"})
        raised = self.assertRaises(docker.errors.APIError, ensure_network, engine, settings, INSTANCE)
        self.assertIs(raised, refusal)
        self.assertGreater(engine.create_network.call_count, 1)

    def test_another_refusal_is_told_at_once(self) -> None:
        refusal = self.refused(500, "could not find an available, non-overlapping IPv4 address pool")
        engine = self.engine(looks=[docker.errors.NotFound("no such network")], making=refusal)
        settings = parse({"INTERNAL_SERVICE_KEY": "x"})
        raised = self.assertRaises(docker.errors.APIError, ensure_network, engine, settings, INSTANCE)
        self.assertIs(raised, refusal)
        self.assertEqual(engine.create_network.call_count, 1)
