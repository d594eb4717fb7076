"""Containers that another program labelled, on a real engine: where they are reached, and which are refused."""

from __future__ import annotations

from sandbox.domain.model import Container
from tests.runtimes.docker.site import SiteTestCase
from tests.waiting import until


class ForeignTests(SiteTestCase):
    """One session each."""

    async def foreign(self, **host_config: object) -> Container:
        """A container as :meth:`find` and :meth:`cached` show it alike."""
        self.session = self.site.session_id()
        self.container_id: str = await self.outside(self.site.foreign, self.session, **host_config)
        found: Container = await self.runtime.find(self.session)
        await until(lambda: self.runtime.cached(self.session) == found)
        return found

    async def network(self, name: str) -> str:
        """Another network of this site's, removed when the test ends."""
        name = f"{self.site.network}-{name}"
        await self.outside(self.site.engine.create_network, name)
        self.site.networks.append(name)
        return name

    async def address_becomes(self, expected: str | None) -> None:
        """The picture comes to show an address, and asking gives the same."""

        def shown() -> bool:
            found = self.runtime.cached(self.session)
            return found is not None and found.address == expected

        await until(shown)
        self.assertEqual((await self.runtime.find(self.session)).address, expected)

    async def address_on(self, network: str) -> str:
        """Its address on one network, as the engine says."""
        described = await self.outside(self.site.engine.inspect_container, self.container_id)
        address: str = described["NetworkSettings"]["Networks"][network]["IPAddress"]
        assert address
        return address

    async def test_on_the_hosts_network_previews_are_refused(self) -> None:
        found = await self.foreign(network_mode="host")
        self.assertEqual((found.refusal, found.address), ("it is on the host's network", None))

    async def test_privileged_previews_are_refused(self) -> None:
        # Not started: a machine that is a sandbox itself cannot run such a one.
        found = await self.foreign(network_mode=await self.network("a"), privileged=True, start=False)
        self.assertEqual(found.refusal, "it is privileged")

    async def test_without_a_network_there_is_no_address(self) -> None:
        found = await self.foreign(network_mode="none")
        self.assertEqual((found.refusal, found.address), (None, None))

    async def test_in_another_containers_network_there_is_no_address_of_its_own(self) -> None:
        await self.foreign(network_mode=await self.network("a"))
        found = await self.foreign(network_mode=f"container:{self.container_id}")
        self.assertEqual((found.refusal, found.address), (None, None))

    async def test_of_several_networks_the_configured_one_else_the_first_by_name(self) -> None:
        networks = {name: await self.network(name) for name in "zab"}
        await self.foreign(network_mode=networks["z"])
        await self.address_becomes(await self.address_on(networks["z"]))
        for name in "ba":
            await self.outside(self.site.engine.connect_container_to_network, self.container_id, networks[name])
            await self.address_becomes(await self.address_on(networks[name]))
        await self.outside(self.site.engine.create_network, self.site.network)
        await self.outside(self.site.engine.connect_container_to_network, self.container_id, self.site.network)
        await self.address_becomes(await self.address_on(self.site.network))

    async def test_what_is_disconnected_is_not_reached_there_any_more(self) -> None:
        one, other = await self.network("a"), await self.network("b")
        await self.foreign(network_mode=one)
        await self.outside(self.site.engine.connect_container_to_network, self.container_id, other)
        await self.outside(self.site.engine.disconnect_container_from_network, self.container_id, one)
        await self.address_becomes(await self.address_on(other))
        await self.outside(self.site.engine.disconnect_container_from_network, self.container_id, other)
        await self.address_becomes(None)
        await self.outside(self.site.engine.connect_container_to_network, self.container_id, one)
        await self.address_becomes(await self.address_on(one))

    async def test_a_renamed_container_is_the_same(self) -> None:
        found = await self.foreign(network_mode=await self.network("a"))
        await self.outside(self.site.engine.rename, self.container_id, f"sandbox-test-{self.site.token}-renamed")
        await until(lambda: self.runtime.cached(self.session) == found)

    async def test_another_label_may_name_the_sessions(self) -> None:
        """The site's label is not the default one, and containers with the default one are not seen."""
        session = self.site.session_id()
        container = self.site.engine.create_container(
            self.image,
            command=["/bin/sleep", "1000000"],
            labels={"sandbox.session.id": session, f"{self.site.label}.more": session},
        )
        self.addCleanup(self.outside, self.site.engine.remove_container, container["Id"], force=True)
        self.assertNotIn(session, [one.session_id for one in await self.runtime.list()])
