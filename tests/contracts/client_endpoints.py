"""What every face of the client makes of the daemon's own endpoints and refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from sandbox.client import errors
from sandbox.client.retrying import Retries
from sandbox.client.values import ExecResult, Registration, WrittenFile
from sandbox.domain.model import EntryType, SessionStatus
from tests.api.stage import IMAGE

reactor: Any = _reactor


class ClientEndpointsMixin:
    """Every endpoint of contract sections 2 to 4, 7 and 8, and preview links, on ``tests.api.stage``."""

    base: str
    runtime: Any
    agents: Any
    store: Any
    port: Any

    def client(self, url: str, **options: Any) -> Any:
        """The face that is tested."""
        raise NotImplementedError

    def do(self, name: str, *args: Any, client: Any = None, **kwargs: Any) -> Deferred[Any]:
        """Call a method; the result, as a Deferred whatever the face."""
        raise NotImplementedError

    def every(self, **how: Any) -> Deferred[list[Any]]:
        """What ``iterate_sessions`` gives."""
        raise NotImplementedError

    async def refusal(self, kind: type[errors.ClientError], name: str, *args: Any, **kwargs: Any) -> Any:
        """The error of a call that must fail with exactly this class."""
        try:
            result = await self.do(name, *args, **kwargs)
        except errors.ClientError as error:
            self.assertIs(type(error), kind, repr(error))
            return error
        raise AssertionError(f"{name} gave {result!r}")

    async def make(self, **fields: Any) -> Any:
        return await self.do("create_session", "u1", id="s1", **fields)

    # -- the API itself --------------------------------------------------------------------------------------------

    async def test_the_api_is_described_by_a_document_and_a_page(self) -> None:
        document = await self.do("api_description")
        self.assertEqual((document["openapi"], document["info"]["title"]), ("3.1.0", "sandbox"))
        page = await self.do("api_page")
        self.assertTrue(page.startswith("<!doctype html>"))
        stranger = self.client(self.base, key="wrong")
        for name in ("api_description", "api_page"):
            await self.refusal(errors.Forbidden, name, client=stranger)

    # -- sessions --------------------------------------------------------------------------------------------------

    async def test_a_session_is_created_found_stopped_started_and_deleted(self) -> None:
        made = await self.make(env={"A": "b"}, memory_mb=64, cpus=0.5)
        self.assertEqual((made.id, made.user_id, made.status, made.image), ("s1", "u1", SessionStatus.RUNNING, IMAGE))
        self.assertLess(abs(made.created_at - datetime.now(UTC)), timedelta(minutes=1))
        self.assertEqual((await self.do("get_session", "s1")).container_id, made.container_id)
        for _ in range(2):
            self.assertEqual((await self.do("stop_session", "s1")).status, SessionStatus.STOPPED)
        for _ in range(2):
            self.assertEqual((await self.do("start_session", "s1")).status, SessionStatus.RUNNING)
        for _ in range(2):
            self.assertIsNone(await self.do("delete_session", "s1"))
        await self.refusal(errors.SessionNotFound, "get_session", "s1")

    async def test_an_id_is_made_when_none_is_given(self) -> None:
        made = await self.do("create_session", "u1")
        self.assertRegex(made.id, "^[A-Za-z0-9_-]{1,64}$")

    async def test_sessions_are_listed_by_page_and_filtered(self) -> None:
        for number in range(3):
            await self.do("create_session", f"u{number % 2}", id=f"s{number}")
        page = await self.do("list_sessions", limit=2)
        self.assertEqual([one.id for one in page.sessions], ["s2", "s1"])
        rest = await self.do("list_sessions", limit=2, cursor=page.next_cursor)
        self.assertEqual(([one.id for one in rest.sessions], rest.next_cursor), (["s0"], None))
        await self.do("stop_session", "s0")
        self.assertEqual([one.id for one in await self.every()], ["s2", "s1", "s0"])
        self.assertEqual([one.id for one in await self.every(user_id="u0")], ["s2", "s0"])
        self.assertEqual([one.id for one in await self.every(user_id="u0", status=SessionStatus.STOPPED)], ["s0"])
        self.assertEqual(await self.every(status="failed"), [])

    # -- commands --------------------------------------------------------------------------------------------------

    async def test_a_command_is_run_and_its_result_told(self) -> None:
        await self.make()
        result = await self.do("exec", "s1", "echo hi there")
        self.assertIsInstance(result, ExecResult)
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, "hi there\n", ""))
        self.assertEqual((result.truncated, result.signal, result.oom_killed), (False, None, False))
        self.assertEqual((await self.do("exec", "s1", ["/bin/sh", "-c", "exit 3"])).exit_code, 3)
        self.assertEqual((await self.do("exec", "s1", "kill 9")).signal, "SIGKILL")
        ran = await self.do("exec", "s1", "env", env={"A": "1"}, cwd="/tmp")
        self.assertEqual(json.loads(ran.stdout), {"A": "1"})

    async def test_of_two_commands_with_one_key_one_is_run(self) -> None:
        await self.make()
        runs = []

        async def program(process: Any) -> int:
            runs.append(process)
            return len(runs)

        self.agents.programs[b"/bin/count"] = program
        first, second, third = [
            await self.do("exec", "s1", ["/bin/count"], **how)
            for how in ({"idempotency_key": "k"}, {"idempotency_key": "k"}, {})
        ]
        self.assertEqual([one.exit_code for one in (first, second, third)], [1, 1, 2])
        await self.refusal(errors.IdempotencyKeyReused, "exec", "s1", ["/bin/other"], idempotency_key="k")

    async def test_a_command_whose_time_is_up_tells_what_it_had_printed(self) -> None:
        await self.make()
        error = await self.refusal(errors.ExecutionTimeout, "exec", "s1", "sleep 60", timeout_ms=30)
        self.assertEqual((error.stdout, error.stderr, error.code), ("begun\n", "warned\n", "EXECUTION_TIMEOUT"))
        self.assertEqual((error.status, str(error)), (500, "Execution timeout after 30ms"))

    async def test_a_command_that_cannot_be_run_is_an_execution_that_failed(self) -> None:
        await self.make()
        error = await self.refusal(errors.CommandNotFound, "exec", "s1", ["/bin/nothing"])
        self.assertIsInstance(error, errors.ExecutionFailed)
        self.assertIn("/bin/nothing", error.message)

    async def test_a_command_whose_answer_is_lost_on_the_way_is_run_once(self) -> None:
        await self.make()
        runs = []

        async def program(process: Any) -> int:
            runs.append(process)
            return len(runs)

        self.agents.programs[b"/bin/count"] = program
        own = urlsplit(self.base).port
        factory = Factory.forProtocol(lambda: _Lossy(own, factory))
        factory.losses = 1
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = self.client(f"http://127.0.0.1:{port.getHost().port}", retries=Retries(first=0.01))
        self.assertEqual((await self.do("exec", "s1", ["/bin/count"], client=client)).exit_code, 1)
        self.assertEqual((len(runs), factory.losses), (1, 0))

    # -- files -----------------------------------------------------------------------------------------------------

    async def test_a_file_is_written_read_listed_and_looked_at(self) -> None:
        await self.make()
        text = "é\u2028\0\r\n"
        self.assertEqual(
            await self.do("write_file", "s1", "a b/c&d=é.txt", text),
            WrittenFile(path="a b/c&d=é.txt", size=len(text.encode())),
        )
        read = await self.do("read_file", "s1", "a b/c&d=é.txt")
        self.assertEqual((read.path, read.content, read.size), ("a b/c&d=é.txt", text, len(text.encode())))
        found = await self.do("stat", "s1", "a b/c&d=é.txt")
        self.assertEqual((found.type, found.size, found.modified_at), (EntryType.FILE, read.size, read.modified_at))
        self.assertIsNone(await self.do("stat", "s1", "nothing"))
        (entry,) = await self.do("list_directory", "s1")
        self.assertEqual((entry.name, entry.type), ("a b", EntryType.DIRECTORY))
        self.assertEqual([one.name for one in await self.do("list_directory", "s1", "a b")], ["c&d=é.txt"])

    async def test_a_name_that_is_not_utf8_can_be_listed_and_then_opened(self) -> None:
        container = (await self.make()).container_id
        self.agents.workspace(container).write(b"caf\xe9", b"latin")
        (entry,) = await self.do("list_directory", "s1")
        self.assertEqual((await self.do("read_file", "s1", entry.name)).content, "latin")
        await self.do("write_file", "s1", entry.name, "new")
        self.assertEqual((await self.do("read_file", "s1", entry.name)).content, "new")

    async def test_refused_files_are_told_apart(self) -> None:
        container = (await self.make()).container_id
        self.agents.workspace(container).write(b"d/f", b"\xff")
        for kind, call in (
            (errors.FileNotFound, ("read_file", "s1", "missing")),
            (errors.IsADirectory, ("read_file", "s1", "d")),
            (errors.NotText, ("read_file", "s1", "d/f")),
            (errors.NotADirectory, ("list_directory", "s1", "d/f")),
            (errors.InvalidPath, ("stat", "s1", "../x")),
            (errors.InvalidPath, ("write_file", "s1", "/etc/x", "")),
            (errors.InvalidRequest, ("stat", "s1", "")),
        ):
            with self.subTest(call=call):
                await self.refusal(kind, *call)

    async def test_a_file_over_the_daemons_limit_is_refused_by_the_daemon(self) -> None:
        await self.make()
        error = await self.refusal(errors.BodyTooLarge, "write_file", "s1", "big", "x" * (10 * 1024 * 1024 + 1))
        self.assertEqual(error.status, 413)

    # -- previews --------------------------------------------------------------------------------------------------

    async def test_a_preview_is_registered_linked_and_asked_for_its_health(self) -> None:
        self.runtime.containers.place((await self.make()).container_id, "127.0.0.1")
        await self.refusal(errors.PreviewNotRegistered, "preview_health", "s1")
        own = self.port.getHost().port
        made = await self.do("register_preview", "s1", own, access="link", strip_prefix=False, host="preserve")
        self.assertIsInstance(made, Registration)
        self.assertEqual((made.session_id, made.port), ("s1", own))
        self.assertEqual((made.host, made.told), ("public", {"host": "public", "path": "public"}))
        self.assertTrue(str(made.url).endswith("/previews/s1/"), made.url)
        health = await self.do("preview_health", "s1")
        self.assertEqual((health.healthy, health.session_id, health.port, health.status_code), (True, "s1", own, 200))
        link = await self.do("create_link", "s1", ttl_seconds=60, user_id="guest")
        self.assertEqual(urlsplit(link.url).path, "/previews/s1/")
        self.assertLess(link.expires_at - datetime.now(UTC), timedelta(seconds=62))
        self.assertNotIn(link.url, repr(link), "whoever has it may see the preview")
        for _ in range(2):
            self.assertIsNone(await self.do("revoke_link", "s1", link.id))

    async def test_an_application_that_does_not_answer_is_not_healthy(self) -> None:
        self.runtime.containers.place((await self.make()).container_id, "127.0.0.1")
        closed = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = closed.getHost().port
        await closed.stopListening()
        await self.do("register_preview", "s1", number)
        health = await self.do("preview_health", "s1")
        self.assertEqual((health.healthy, health.status_code, health.error), (False, None, "Connection refused"))

    # -- refusals --------------------------------------------------------------------------------------------------

    async def test_refusals_are_told_apart(self) -> None:
        await self.make()
        self.runtime.containers.die((await self.do("create_session", "u1", id="dead")).container_id)
        for kind, code, call in (
            (errors.SessionExists, "SESSION_EXISTS", ("create_session", "u2")),
            (errors.ImageUnknown, "IMAGE_UNKNOWN", ("create_session", "u2")),
            (errors.InvalidRequest, "INVALID_REQUEST", ("register_preview", "s1", 80)),
            (errors.SessionNotFound, "SESSION_NOT_FOUND", ("start_session", "nobody")),
            (errors.ContainerNotFound, "CONTAINER_NOT_FOUND", ("exec", "nobody", "true")),
            (errors.ContainerNotRunning, "CONTAINER_NOT_RUNNING", ("exec", "dead", "true")),
        ):
            how = {errors.SessionExists: {"id": "s1"}, errors.ImageUnknown: {"image": "no:1"}}.get(kind, {})
            with self.subTest(code=code):
                self.assertEqual((await self.refusal(kind, *call, **how)).code, code)

    async def test_a_wrong_key_is_forbidden_and_shown_nowhere(self) -> None:
        stranger = self.client(self.base, key="wrong-key-xyz")
        error = await self.refusal(errors.Forbidden, "list_sessions", client=stranger)
        self.assertEqual((error.status, error.message), (403, "Forbidden"))
        self.assertNotIn("wrong-key-xyz", repr(error) + repr(vars(error)))
        big = await self.refusal(errors.Forbidden, "write_file", "s1", "f", "x" * 5_000_000, client=stranger)
        self.assertEqual(big.status, 403)

    async def test_what_nobody_foresaw_names_its_incident(self) -> None:
        self.store.read = lambda name, work: 1 / 0
        error = await self.refusal(errors.InternalError, "get_session", "s1")
        self.assertRegex(error.details["incident"], "^[0-9a-f]{16}$")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_an_engine_that_is_away_is_unavailable(self) -> None:
        await self.make()
        self.runtime.containers.leave()
        await self.refusal(errors.EngineUnavailable, "exec", "s1", "true")

    async def test_ids_that_would_be_other_paths_are_not_sent(self) -> None:
        for wrong in ("", "..", "a/b", "a?b", "é", "x" * 65, "a\n"):
            for name, args in (("get_session", ()), ("exec", ("true",)), ("stat", (".",)), ("preview_health", ())):
                with self.assertRaises(ValueError):
                    await self.do(name, wrong, *args)
            with self.assertRaises(ValueError):
                await self.do("revoke_link", "s1", wrong)


class _Lossy(Protocol):
    """A way to the daemon on which the first answers are lost, each once it has come."""

    def __init__(self, port: int, factory: Any) -> None:
        self._port = port
        self._factory = factory
        self._other: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self._other is None:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self._port)
            self._other = connectProtocol(endpoint, _Back(self, self._factory))
        self._other.addCallback(lambda back: back.transport.write(data) or back)

    def connectionLost(self, reason: object = None) -> None:
        if self._other is not None:
            self._other.addCallback(lambda back: back.transport.loseConnection())


class _Back(Protocol):
    def __init__(self, lossy: _Lossy, factory: Any) -> None:
        self._lossy = lossy
        self._factory = factory

    def dataReceived(self, data: bytes) -> None:
        if self._factory.losses:
            self._factory.losses -= 1
            self._lossy.transport.loseConnection()
        else:
            self._lossy.transport.write(data)

    def connectionLost(self, reason: object = None) -> None:
        self._lossy.transport.loseConnection()
