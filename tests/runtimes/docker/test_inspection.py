"""``sandbox.runtimes.docker.inspection``: what the engine's description of a container means."""

from __future__ import annotations

import doctest
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import Container, ContainerState, ContainerSummary
from sandbox.runtimes.docker import inspection
from sandbox.runtimes.docker.inspection import (
    INSTANCE_LABEL,
    SessionLabels,
    address,
    container_from,
    sortable,
    summary_from,
)

INSTANCE = "0123456789ab"


def described(**changes: Any) -> dict[str, Any]:
    """An inspection as an engine gives it (API 1.41), cut to what is looked at."""
    return {
        "Id": "c" * 64,
        "Created": "2026-01-25T12:00:00.5Z",
        "State": {"Status": "running", "StartedAt": "2026-01-25T12:00:01.123456789Z"},
        "Config": {
            "Image": "image:1",
            "User": "session",
            "Labels": {"sandbox.session.id": "s", "sandbox.instance": INSTANCE},
        },
        "HostConfig": {"NetworkMode": "sandbox", "Privileged": False},
        "NetworkSettings": {"Networks": {"sandbox": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""}}},
        **changes,
    }


def seen(**changes: Any) -> Container | None:
    """The container of an inspection."""
    return container_from(described(**changes), labels=SessionLabels("sandbox.session.id", INSTANCE), network="sandbox")


class SummaryTests(SynchronousTestCase):
    """A row of the engine's list."""

    def summary(self, **changes: Any) -> ContainerSummary | None:
        """What becomes of a row as an engine gives it (API 1.41), cut to what is looked at."""
        row = {
            "Id": "c" * 64,
            "Created": 1769342400,
            "State": "running",
            "Labels": {"sandbox.session.id": "s", "sandbox.instance": INSTANCE},
            **changes,
        }
        return summary_from(row, labels=SessionLabels("sandbox.session.id", INSTANCE))

    def test_it_says_what_the_inspection_says(self) -> None:
        summary, container = self.summary(), seen(Created="2026-01-25T12:00:00Z")
        assert summary is not None
        assert container is not None
        for field in attrs.fields(ContainerSummary):
            self.assertEqual(getattr(summary, field.name), getattr(container, field.name), field.name)

    def test_whose_it_is_and_how_it_is(self) -> None:
        foreign = self.summary(State="exited", Labels={"sandbox.session.id": "s"})
        assert foreign is not None
        self.assertEqual((foreign.managed, foreign.state, foreign.running), (False, ContainerState.EXITED, False))
        self.assertIsNone(self.summary(Labels=None))
        unknown = self.summary(State="hibernating")
        assert unknown is not None
        self.assertIs(unknown.state, ContainerState.DEAD)


class SessionLabelsTests(SynchronousTestCase):
    """Which containers are sessions here."""

    def test_f2_those_of_another_installation_are_none_unless_they_are_served(self) -> None:
        labels = SessionLabels("session", INSTANCE)
        other = {"session": "s", INSTANCE_LABEL: "ba9876543210"}
        self.assertIsNone(labels.session_id(other))
        self.assertFalse(labels.managed(other))
        serving = SessionLabels("session", INSTANCE, serve_foreign=True)
        self.assertEqual((serving.session_id(other), serving.managed(other)), ("s", False))

    def test_f2_ours_and_those_without_an_instance_are_sessions(self) -> None:
        labels = SessionLabels("session", INSTANCE)
        for owner in ({}, {INSTANCE_LABEL: ""}, {INSTANCE_LABEL: INSTANCE}):
            self.assertEqual(labels.session_id({"session": "s", **owner}), "s", owner)
        for none in (None, {}, {"session": ""}, {INSTANCE_LABEL: INSTANCE}):
            self.assertIsNone(labels.session_id(none), none)


class ContainerTests(SynchronousTestCase):
    """The whole value."""

    def test_the_docstrings_examples_hold(self) -> None:
        self.assertEqual(doctest.testmod(inspection).failed, 0)

    def test_a_running_container(self) -> None:
        self.assertEqual(
            seen(),
            Container(
                id="c" * 64,
                session_id="s",
                state=ContainerState.RUNNING,
                image="image:1",
                address="172.18.0.2",
                started_at="2026-01-25T12:00:01.123456789Z",
                created_at="2026-01-25T12:00:00.500000000Z",
                user="session",
                managed=True,
                refusal=None,
            ),
        )

    def test_without_the_session_label_it_is_nobodys(self) -> None:
        for labels in (None, {}, {"sandbox.session.id": ""}, {"other": "s"}):
            self.assertIsNone(seen(Config={"Labels": labels}))

    def test_only_our_instance_is_managed(self) -> None:
        for labels in ({}, {"sandbox.instance": "ba9876543210"}, {"sandbox.instance": ""}):
            found = seen(Config={"Labels": {"sandbox.session.id": "s", **labels}})
            self.assertFalse(found and found.managed)

    def test_every_state_of_an_engine(self) -> None:
        for state in ContainerState:
            found = seen(State={"Status": state.value})
            self.assertIs(found and found.state, state)

    def test_a_state_that_nobody_knows_does_not_run(self) -> None:
        for status in ("configured", "", None):
            found = seen(State={"Status": status})
            self.assertFalse(found is None or found.running)

    def test_on_the_hosts_network_it_is_refused(self) -> None:
        found = seen(HostConfig={"NetworkMode": "host"}, NetworkSettings={"Networks": {"host": {"IPAddress": ""}}})
        assert found is not None
        self.assertEqual((found.refusal, found.address), ("it is on the host's network", None))

    def test_privileged_it_is_refused(self) -> None:
        found = seen(HostConfig={"NetworkMode": "sandbox", "Privileged": True})
        self.assertEqual(found and found.refusal, "it is privileged")

    def test_in_another_containers_network_it_has_no_address(self) -> None:
        found = seen(HostConfig={"NetworkMode": "container:abc"}, NetworkSettings={"Networks": {}})
        assert found is not None
        self.assertIsNone(found.address)


class AddressTests(SynchronousTestCase):
    """Which of a container's addresses is dialled."""

    def test_the_configured_network_comes_first(self) -> None:
        networks = {"a": {"IPAddress": "172.18.0.2"}, "z": {"IPAddress": "172.19.0.2"}}
        self.assertEqual(address(networks, "z"), "172.19.0.2")

    def test_else_the_first_by_name_in_whatever_order_they_come(self) -> None:
        networks = {"b": {"IPAddress": "172.18.0.2"}, "a": {"IPAddress": "172.19.0.2"}}
        self.assertEqual(address(networks, "z"), "172.19.0.2")
        self.assertEqual(address(dict(reversed(networks.items())), "z"), "172.19.0.2")

    def test_a_network_without_an_address_is_passed_over(self) -> None:
        networks: dict[str, Any] = {"sandbox": {"IPAddress": ""}, "a": None, "b": {"IPAddress": "172.19.0.2"}}
        self.assertEqual(address(networks, "sandbox"), "172.19.0.2")

    def test_ipv6_only(self) -> None:
        networks = {"sandbox": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}}
        self.assertEqual(address(networks, "sandbox"), "fd00::2")

    def test_ipv4_before_ipv6(self) -> None:
        networks = {"sandbox": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2"}}
        self.assertEqual(address(networks, "sandbox"), "172.18.0.2")

    def test_none(self) -> None:
        self.assertIsNone(address({}, "sandbox"))
        self.assertIsNone(address({"none": {"IPAddress": ""}}, "sandbox"))

    def test_addresses_that_lead_back_to_us_or_nowhere_are_none(self) -> None:
        for text in (
            "127.0.0.1",
            "127.255.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "localhost",
            "172.18.0.2:80",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
        ):
            self.assertIsNone(address({"n": {"IPAddress": text}}, "n"), text)


class SortableTests(SynchronousTestCase):
    """Timestamps of engines sort as texts."""

    @given(st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=2))
    def test_fractions_of_any_length_sort_as_moments(self, nanoseconds: list[int]) -> None:
        # Go's RFC3339Nano leaves out the zeros at the end.
        texts = [f"2026-01-25T12:00:00.{one:09d}".rstrip("0").rstrip(".") + "Z" for one in nanoseconds]
        self.assertEqual(sortable(texts[0]) < sortable(texts[1]), nanoseconds[0] < nanoseconds[1])

    def test_what_is_no_timestamp_stays(self) -> None:
        self.assertEqual(sortable(""), "")
