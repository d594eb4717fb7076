"""What a session's container can and cannot do, tried on a real engine from inside, and read from its inspection."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from sandbox.domain.errors import EngineError, InvalidRequest
from sandbox.domain.model import Container, ContainerSpec, ExecSpec
from tests.engine import BUSYBOX
from tests.runtimes.docker.site import SiteTestCase
from tests.waiting import pause

PORT = 3000


class WallsTestCase(SiteTestCase):
    """Sessions and shells in them."""

    async def create(self, **changes: Any) -> Container:
        """A session's container."""
        spec = ContainerSpec(session_id=self.site.session_id(), image=self.image, **changes)
        container: Container = await self.runtime.create(spec)
        return container

    async def shell(self, container: Container, script: str, seconds: float = 30) -> tuple[int, str]:
        """Run a script in it; its exit code and what it printed on both streams."""
        spec = ExecSpec(argv=[b"/bin/sh", b"-c", script.encode()], timeout_ms=round(seconds * 1000))
        result = await self.runtime.execute(container, spec)
        self.assertFalse(result.timed_out, script)
        return result.exit_code, (result.stdout + result.stderr).decode()

    async def inspected(self, container: Container) -> dict[str, Any]:
        """What the engine says."""
        described: dict[str, Any] = await self.outside(self.site.engine.inspect_container, container.id)
        return described

    async def serve(self, container: Container, text: str) -> None:
        """Have it answer every connection to :data:`PORT` with a text."""
        script = f"nc -ll -p {PORT} -e /bin/echo {text} </dev/null >/dev/null 2>&1 &"
        self.assertEqual(await self.shell(container, script), (0, ""))
        assert container.address is not None
        for _ in range(50):
            if await heard(container.address, PORT) == f"{text}\n":
                return
            await pause(0.05)
        self.fail("the server in the container does not answer")


class _Hearing(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(None)


async def heard(address: str, port: int) -> str:
    """What a server says before it closes; nothing when it cannot be reached."""
    try:
        hearing: _Hearing = await connectProtocol(HostnameEndpoint(reactor, address, port, timeout=5), _Hearing())
    except Exception:
        return ""
    # A container that died a moment after it accepted does not say goodbye: its network went with it.
    silence = reactor.callLater(5, hearing.transport.abortConnection)
    await hearing.ended
    if silence.active():
        silence.cancel()
    return hearing.data.decode()


class NetworkTests(WallsTestCase):
    """One session cannot reach another, while the daemon reaches both."""

    async def test_sessions_cannot_reach_each_other_while_the_daemon_can(self) -> None:
        one, other = await self.create(), await self.create()
        await self.serve(one, "one")
        await self.serve(other, "other")
        for here, there in ((one, other), (other, one)):
            code, _ = await self.shell(here, f"nc -w 2 {there.address} {PORT} </dev/null")
            self.assertNotEqual(code, 0, "it reached its neighbour")
            code, _ = await self.shell(here, f"ping -c 1 -W 2 {there.address}")
            self.assertNotEqual(code, 0)
            # The same program reaches itself: what fails above is the way, not the tool.
            self.assertEqual(
                await self.shell(here, f"nc -w 2 {here.address} {PORT} </dev/null"),
                (0, "one\n" if here is one else "other\n"),
            )

    async def test_no_ipv6_behind_ipv4s_back(self) -> None:
        container = await self.create()
        _, addresses = await self.shell(container, "cat /proc/net/if_inet6 2>/dev/null")
        self.assertNotIn("eth0", addresses)

    async def test_neighbours_names_do_not_tell_their_sessions_ids(self) -> None:
        one, other = await self.create(), await self.create()
        assert other.address is not None
        _, told = await self.shell(one, f"nslookup {other.address}")
        self.assertIn("sandbox-", told, "the engine's DNS does tell names")
        self.assertNotIn(other.session_id, told)
        _, told = await self.shell(one, "hostname; env; cat /etc/hosts /etc/hostname")
        self.assertNotIn(other.session_id, told)

    async def test_the_daemons_loopback_cannot_be_reached(self) -> None:
        """The internal API listens there, with INTERNAL_LISTEN or by default."""
        answers = Factory.forProtocol(_Answering)
        port = reactor.listenTCP(0, answers, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        self.assertEqual(await heard("127.0.0.1", number), "reached\n")
        container = await self.create()
        _, routes = await self.shell(container, "ip route")
        gateway = routes.split("default via ")[1].split()[0]
        for target in (gateway, "127.0.0.1", "host.docker.internal", "172.17.0.1"):
            code, said = await self.shell(container, f"nc -w 2 {target} {number} </dev/null")
            self.assertNotEqual(code, 0, target)
            self.assertNotIn("reached", said)

    async def test_an_existing_network_that_lets_them_is_refused(self) -> None:
        await self.outside(self.site.engine.create_network, self.site.network)
        session_id = self.site.session_id()
        with self.assertRaises(EngineError) as caught:
            await self.runtime.create(ContainerSpec(session_id=session_id, image=BUSYBOX))
        self.assertEqual(caught.exception.reason_code, "NETWORK_UNSAFE")
        self.assertEqual(self.site.traces(session_id), [])
        shared = await self.opened(self.site.settings(SESSION_NETWORK_SHARED="true"))
        await shared.create(ContainerSpec(session_id=session_id, image=BUSYBOX))

    async def test_the_network_is_made_once_however_many_want_it(self) -> None:
        for creation in [Deferred.fromCoroutine(self.create()) for _ in range(4)]:
            await creation
        networks = await self.outside(self.site.engine.networks, names=[self.site.network])
        self.assertEqual([one["Labels"] for one in networks], [{"sandbox.instance": self.site.instance}])

    async def test_a_network_that_was_removed_is_made_again(self) -> None:
        container = await self.create()
        await self.runtime.remove(container.session_id)
        await self.outside(self.site.engine.remove_network, self.site.network)
        self.assertTrue((await self.create()).address)


class _Answering(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"reached\n")
        self.transport.loseConnection()


class InternalNetworkTests(WallsTestCase):
    """``SESSION_NETWORK_INTERNAL``: no way out, and previews still work."""

    environment: ClassVar[dict[str, str]] = {"SESSION_NETWORK_INTERNAL": "true"}

    async def test_the_network_is_internal_and_there_is_a_way_in(self) -> None:
        await self.serve(await self.create(), "inside")
        (network,) = await self.outside(self.site.engine.networks, names=[self.site.network])
        self.assertTrue(network["Internal"])


class NoNetworkTests(WallsTestCase):
    """``SESSION_NETWORK=none``."""

    environment: ClassVar[dict[str, str]] = {"SESSION_NETWORK": "none"}

    async def test_no_network_at_all(self) -> None:
        container = await self.create()
        self.assertIsNone(container.address)
        _, interfaces = await self.shell(container, "ls /sys/class/net")
        self.assertEqual(interfaces.split(), ["lo"])


class PrivilegeTests(WallsTestCase):
    """Capabilities, privileges and what of the host is to be seen."""

    async def test_capabilities_from_inside(self) -> None:
        container = await self.create()
        _, status = await self.shell(container, "cat /proc/self/status /proc/1/status")
        fields = [line.split() for line in status.splitlines()]
        # CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
        allowed = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 10))
        for name, value in (field for field in fields if field and field[0].startswith("Cap")):
            self.assertEqual(int(value, 16) & ~allowed, 0, name)
        bounding = [int(field[1], 16) for field in fields if field and field[0] == "CapBnd:"]
        self.assertEqual(bounding, [allowed, allowed])
        self.assertEqual([field[1] for field in fields if field and field[0] == "NoNewPrivs:"], ["1", "1"])
        self.assertEqual([field[1] for field in fields if field and field[0] == "Seccomp:"], ["2", "2"])

    async def test_what_they_forbid_is_forbidden(self) -> None:
        container = await self.create()
        for script in (
            "mknod /tmp/disk b 8 0",
            "mount -t tmpfs none /mnt",
            "chroot / /bin/true",
            "ip link set lo down",
            "ip addr add 198.18.0.1/32 dev eth0",
            "hostname other",
            "echo other >/proc/sys/kernel/hostname",
            "nice -n -5 true",
        ):
            code, said = await self.shell(container, f"mkdir -p /mnt; {script}")
            self.assertNotEqual(code, 0, f"{script}: {said}")

    async def test_nothing_of_the_host_is_mounted(self) -> None:
        described = await self.inspected(await self.create())
        self.assertEqual([mount["Destination"] for mount in described["Mounts"]], ["/workspace"])
        self.assertEqual(described["Mounts"][0]["Type"], "volume")
        host = described["HostConfig"]
        self.assertFalse(host["Privileged"] or host["Binds"] or host["Devices"] or host["PortBindings"])
        self.assertEqual((host["PidMode"], host["UTSMode"], host["IpcMode"]), ("", "", "private"))

    async def test_no_engine_socket(self) -> None:
        code, _ = await self.shell(await self.create(), "ls /var/run/docker.sock /run/docker.sock")
        self.assertNotEqual(code, 0)

    async def test_the_service_key_is_not_inside(self) -> None:
        secret = secrets.token_hex(16)
        runtime = await self.opened(self.site.settings(INTERNAL_SERVICE_KEY=secret))
        container = await runtime.create(ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX))
        described = await self.inspected(container)
        self.assertNotIn(secret, repr(described))
        _, said = await self.shell(container, "env; cat /proc/*/environ /proc/*/cmdline")
        self.assertNotIn(secret, said)


class LimitTests(WallsTestCase):
    """Limits as inspected, and as felt from inside."""

    environment: ClassVar[dict[str, str]] = {
        "SESSION_MEMORY_MB": "32",
        "SESSION_CPUS": "0.5",
        "SESSION_PIDS": "50",
        "SESSION_LOG_MB": "1",
    }

    async def test_as_inspected(self) -> None:
        host = (await self.inspected(await self.create()))["HostConfig"]
        self.assertEqual((host["Memory"], host["MemorySwap"]), (32 << 20, 32 << 20))
        self.assertEqual((host["NanoCpus"], host["PidsLimit"]), (500_000_000, 50))
        self.assertEqual((host["Init"], host["RestartPolicy"]["Name"]), (True, "no"))
        self.assertEqual(host["LogConfig"]["Config"], {"max-size": "1m", "max-file": "1"})

    async def test_by_session(self) -> None:
        host = (await self.inspected(await self.create(memory_mb=48, cpus=0.25)))["HostConfig"]
        self.assertEqual((host["Memory"], host["NanoCpus"]), (48 << 20, 250_000_000))

    async def test_more_cpus_than_the_machine_has_names_the_field_and_leaves_nothing(self) -> None:
        session_id = self.site.session_id()
        with self.assertRaisesRegex(InvalidRequest, "'cpus'"):
            await self.runtime.create(ContainerSpec(session_id=session_id, image=BUSYBOX, cpus=100_000))
        self.assertEqual(self.site.traces(session_id), [])

    async def test_memory_ends_what_takes_too_much_and_the_session_lives(self) -> None:
        container = await self.create()
        code, _ = await self.shell(container, "head -c 100000000 /dev/zero | tail -c 90000000 >/dev/null")
        self.assertNotEqual(code, 0)
        self.assertEqual(await self.shell(container, "echo alive"), (0, "alive\n"))
        self.assertTrue((await self.runtime.find(container.session_id)).running)

    async def test_processes_are_counted(self) -> None:
        container = await self.create()
        script = "i=0; while [ $i -lt 100 ]; do sleep 1 & i=$((i+1)); done; wait"
        _, said = await self.shell(container, f"({script}) 2>&1 | head -c 1000")
        self.assertIn("can't fork", said)
        self.assertEqual(await self.shell(container, "echo alive"), (0, "alive\n"))

    async def test_orphans_are_reaped(self) -> None:
        container = await self.create()
        await self.shell(container, "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.01 &) ; done; sleep 0.3")
        _, said = await self.shell(container, "grep -l '^State:.Z' /proc/[0-9]*/status; true")
        self.assertEqual(said, "")

    async def test_the_log_of_the_main_process_is_limited(self) -> None:
        container = await self.create()
        await self.shell(container, "head -c 3000000 /dev/zero | tr '\\0' 'x' | fold -w 100 >/proc/1/fd/1")
        log: bytes = await self.outside(self.site.engine.logs, container.id)
        self.assertLess(len(log), 1_100_000)


class CommandTests(WallsTestCase):
    """``SESSION_COMMAND``: another main process."""

    environment: ClassVar[dict[str, str]] = {"SESSION_COMMAND": "/bin/sh -c 'echo started; exec sleep 1000'"}

    async def test_it_runs_instead_of_the_idle_process(self) -> None:
        container = await self.create()

        async def log() -> bytes:
            said: bytes = await self.outside(self.site.engine.logs, container.id)
            return said

        while not (said := await log()):
            await pause(0.05)
        self.assertEqual(said, b"started\n")


class UnknownRuntimeTests(WallsTestCase):
    """``CONTAINER_RUNTIME``: passed through to the engine, which refuses one that it does not have."""

    environment: ClassVar[dict[str, str]] = {"CONTAINER_RUNTIME": "no-such-runtime"}

    async def test_it_is_asked_for(self) -> None:
        session_id = self.site.session_id()
        with self.assertRaisesRegex(EngineError, "no-such-runtime"):
            await self.runtime.create(ContainerSpec(session_id=session_id, image=BUSYBOX))
        self.assertEqual(self.site.traces(session_id), [])
