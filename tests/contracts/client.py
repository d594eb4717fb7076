"""What every face of the client does: each endpoint against the daemon's own, each kind of refusal, each broken peer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from sandbox.client import errors
from sandbox.client.retrying import Retries
from sandbox.client.values import ExecResult, Registration, WrittenFile
from sandbox.model import EntryType, SessionStatus
from tests.api.stage import IMAGE, KEY

reactor: Any = _reactor

#: What plays a peer: it is given the transport once a whole request has come.
Script = Callable[[Any], None]


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
        self.assertEqual((result.exit_code, result.stdout, result.stderr, result.truncated), (0, "hi there\n", "", False))
        self.assertEqual((result.signal, result.oom_killed), (None, False))
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
        self.assertTrue(str(made.url).endswith("/previews/s1/"), made.url)
        health = await self.do("preview_health", "s1")
        self.assertEqual((health.healthy, health.session_id, health.port, health.status_code), (True, "s1", own, 404))
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
        self.store.get = lambda session_id: 1 / 0
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


class _Peer(Protocol):
    def __init__(self, scripts: list[Script], requests: list[bytes]) -> None:
        self._scripts = scripts
        self._requests = requests
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
        if blank and len(body) >= length:
            self._requests.append(self._received)
            self._received = b""
            # The last one stays for whatever comes after it.
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            script(self.transport)


def answer(status: str, body: bytes = b"", *fields: bytes) -> Script:
    """A peer that answers and closes."""

    def play(transport: Any) -> None:
        head = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *fields, b"Connection: close"]
        transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        transport.loseConnection()

    return play


def raw(data: bytes, *, close: bool = True) -> Script:
    """A peer that says something of its own."""

    def play(transport: Any) -> None:
        transport.write(data)
        if close:
            transport.loseConnection()

    return play


def refuse(status: int, code: str, *fields: bytes) -> Script:
    """A daemon that says no."""
    payload = {"statusCode": status, "error": "-", "code": code, "message": "no"}
    return answer(f"{status} -", json.dumps(payload).encode(), b"Content-Type: application/json", *fields)


SESSION = json.dumps(
    {
        **{"id": "s1", "userId": "u1", "status": "running", "image": "i", "containerId": None},
        **{"createdAt": "2026-01-25T12:00:00.000Z", "updatedAt": "2026-01-25T12:00:00.000Z"},
    }
).encode()
RAN = json.dumps({"exitCode": 0, "stdout": "", "stderr": "", "durationMs": 1, "truncated": False}).encode()


class ClientWireMixin:
    """What a client does when the other end is not the daemon that it should be, and when it sends again."""

    def client(self, url: str, **options: Any) -> Any:
        """The face that is tested."""
        raise NotImplementedError

    def do(self, name: str, *args: Any, client: Any = None, **kwargs: Any) -> Deferred[Any]:
        """Call a method; the result, as a Deferred whatever the face."""
        raise NotImplementedError

    def peer(self, *scripts: Script, **options: Any) -> Any:
        """A client of a listener that plays scripts, one a request."""
        self.requests: list[bytes] = []
        factory = Factory.forProtocol(lambda: _Peer(list_of_scripts, self.requests))
        list_of_scripts = list(scripts)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        options.setdefault("retries", Retries(first=0.01))
        return self.client(f"http://127.0.0.1:{port.getHost().port}", **options)

    async def fails(self, kind: type[errors.ClientError], client: Any, name: str = "get_session", *args: Any) -> Any:
        """The error of a call that must fail with exactly this class."""
        try:
            result = await self.do(name, *(args or ("s1",)), client=client)
        except errors.ClientError as error:
            self.assertIs(type(error), kind, repr(error))
            return error
        raise AssertionError(f"{name} gave {result!r}")

    # -- answers that are none -------------------------------------------------------------------------------------

    async def test_answers_that_are_none_of_the_daemons_are_bad(self) -> None:
        for script in (
            answer("200 OK", b"<h1>It works</h1>"),
            answer("200 OK", b"[]"),
            answer("200 OK", b'{"id": 7}'),
            answer("200 OK", SESSION.replace(b"running", b"dreaming")),
            answer("200 OK", b"\xff\xff"),
            answer("200 OK", b"[" * 100_000),
            answer("200 OK"),
            answer("302 Found", b"", b"Location: https://login.example.com/"),
            raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        ):
            await self.fails(errors.BadAnswer, self.peer(script))
            self.assertEqual(len(self.requests), 1, "asking again would not help")

    async def test_redirects_are_told_and_not_followed(self) -> None:
        error = await self.fails(errors.BadAnswer, self.peer(answer("301 Moved", b"", b"Location: http://other/")))
        self.assertIn("http://other/", str(error))

    async def test_a_proxys_own_error_is_told_by_its_status(self) -> None:
        error = await self.fails(errors.ApiError, self.peer(answer("502 Bad Gateway", b"<h1>nginx</h1>")))
        self.assertEqual((error.status, error.code, error.message), (502, "UNKNOWN", "HTTP 502"))

    async def test_what_the_daemon_calls_the_request_is_kept(self) -> None:
        error = await self.fails(errors.NotFound, self.peer(refuse(404, "NOT_FOUND", b"X-Request-Id: abc")))
        self.assertEqual(error.request_id, "abc")

    async def test_an_answer_is_read_up_to_the_limit(self) -> None:
        limit = len(SESSION)
        self.assertEqual((await self.do("get_session", "s1", client=self.peer(answer("200 OK", SESSION)))).id, "s1")
        client = self.peer(answer("200 OK", SESSION), answer("200 OK", SESSION + b" "), answer_limit=limit)
        await self.do("get_session", "s1", client=client)
        await self.fails(errors.AnswerTooLarge, client)
        endless = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n")
        await self.fails(errors.AnswerTooLarge, self.peer(endless, answer_limit=1000))

    async def test_an_answer_without_a_length_ends_with_its_connection(self) -> None:
        client = self.peer(raw(b"HTTP/1.1 200 OK\r\n\r\n" + SESSION))
        self.assertEqual((await self.do("get_session", "s1", client=client)).id, "s1")

    async def test_an_answer_that_does_not_come_is_a_timeout(self) -> None:
        for script in (
            raw(b"", close=False),
            raw(b"HTTP/1.1 200 OK\r\nContent-Le", close=False),
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", close=False),
        ):
            await self.fails(errors.AnswerTimeout, self.peer(script, timeout=0.2))
            self.assertEqual(len(self.requests), 1, "its time is used up")

    async def test_an_answer_that_trickles_in_is_a_timeout_too(self) -> None:
        for text in (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 1000):
            sent: list[int] = []

            def trickle(transport: Any, text: bytes = text, sent: list[int] = sent) -> None:
                if transport.connected and len(sent) < len(text):
                    transport.write(text[len(sent) : len(sent) + 1])
                    sent.append(1)
                    reactor.callLater(0.01, trickle, transport)

            await self.fails(errors.AnswerTimeout, self.peer(trickle, timeout=0.5))
            await deferLater(reactor, 0.05, lambda: None)

    # -- sending again ---------------------------------------------------------------------------------------------

    async def test_when_nobody_listens_nothing_was_sent(self) -> None:
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        await self.fails(errors.Unreachable, self.client(f"http://127.0.0.1:{number}", retries=Retries(first=0.01)))

    async def test_what_was_not_sent_is_sent_again_whatever_it_is(self) -> None:
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        client = self.client(f"http://127.0.0.1:{number}", retries=Retries(attempts=20, first=0.05, longest=0.05))
        result = self.do("create_session", "u1", client=client)
        factory = Factory.forProtocol(lambda: _Peer([answer("201 Created", SESSION)], []))
        late = reactor.callLater(0.1, lambda: ports.append(reactor.listenTCP(number, factory, interface="127.0.0.1")))
        ports: list[Any] = []
        self.assertEqual((await result).id, "s1")
        self.assertFalse(late.active())
        await ports[0].stopListening()

    async def test_safe_calls_are_sent_again_when_the_answer_is_cut(self) -> None:
        cut = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        for name in ("get_session", "start_session", "stop_session"):
            for broken in (raw(b""), cut):
                client = self.peer(broken, answer("200 OK", SESSION))
                self.assertEqual((await self.do(name, "s1", client=client)).id, "s1")
                self.assertEqual(len(self.requests), 2)
                self.assertEqual(self.requests[0], self.requests[1])
        await self.do("delete_session", "s1", client=self.peer(raw(b""), answer("204 No Content")))

    async def test_other_calls_are_not(self) -> None:
        for name, *args in (
            ("create_session", "u1"),
            ("write_file", "s1", "f", "x"),
            ("register_preview", "s1", 3000),
            ("create_link", "s1"),
        ):
            await self.fails(errors.ConnectionLost, self.peer(raw(b""), answer("200 OK", SESSION)), name, *args)
            self.assertEqual(len(self.requests), 1, name)
            await self.fails(errors.Unavailable, self.peer(refuse(503, "OVERLOADED")), name, *args)
            self.assertEqual(len(self.requests), 1, name)

    async def test_safe_calls_are_sent_again_when_the_daemon_cannot_do_them_now(self) -> None:
        client = self.peer(refuse(503, "STARTING"), refuse(503, "OVERLOADED"), answer("200 OK", SESSION))
        self.assertEqual((await self.do("get_session", "s1", client=client)).id, "s1")
        self.assertEqual(len(self.requests), 3)

    async def test_attempts_are_bounded(self) -> None:
        error = await self.fails(errors.StoreUnavailable, self.peer(refuse(503, "STORE_UNAVAILABLE")))
        self.assertEqual((len(self.requests), error.code), (3, "STORE_UNAVAILABLE"))
        await self.fails(errors.ConnectionLost, self.peer(raw(b""), retries=Retries(attempts=1)))
        self.assertEqual(len(self.requests), 1)

    async def test_a_no_is_not_asked_again(self) -> None:
        await self.fails(errors.SessionNotFound, self.peer(refuse(404, "SESSION_NOT_FOUND")))
        self.assertEqual(len(self.requests), 1)

    async def test_a_command_whose_answer_was_lost_is_asked_for_by_its_key_and_not_begun_anew(self) -> None:
        client = self.peer(raw(b""), answer("200 OK", RAN))
        self.assertEqual((await self.do("exec", "s1", "true", client=client)).exit_code, 0)
        first, second = (request.lower() for request in self.requests)
        key = first.partition(b"idempotency-key: ")[2].partition(b"\r\n")[0]
        self.assertRegex(key, rb"^[0-9a-f]{32}$")
        self.assertIn(b"idempotency-key: " + key, second)
        self.assertNotIn(b"idempotency-replay", first)
        self.assertIn(b"idempotency-replay: only", second)

    async def test_when_the_daemon_does_not_know_the_key_the_loss_is_told(self) -> None:
        client = self.peer(raw(b""), refuse(409, "IDEMPOTENCY_KEY_UNKNOWN"))
        await self.fails(errors.ConnectionLost, client, "exec", "s1", "true")
        self.assertEqual(len(self.requests), 2)

    # -- what is sent ----------------------------------------------------------------------------------------------

    async def test_the_key_goes_to_the_api_and_not_to_previews(self) -> None:
        health = b'{"healthy": true, "sessionId": "s1", "port": 3000, "statusCode": 200}'
        client = self.peer(answer("200 OK", SESSION), answer("200 OK", health))
        await self.do("get_session", "s1", client=client)
        await self.do("preview_health", "s1", client=client)
        self.assertIn(KEY.encode(), self.requests[0])
        self.assertNotIn(KEY.encode(), self.requests[1])
        self.assertTrue(self.requests[1].startswith(b"GET /previews/s1/health HTTP/1.1\r\n"))

    async def test_a_path_in_the_url_stands_before_every_target(self) -> None:
        client = self.peer(answer("200 OK", SESSION))
        base = f"http://127.0.0.1:{urlsplit(self.urls[-1]).port}/below/"
        await self.do("get_session", "s1", client=self.client(base))
        self.assertTrue(self.requests[0].startswith(b"GET /below/api/internal/sessions/s1 HTTP/1.1\r\n"))
        self.assertIsNotNone(client)
