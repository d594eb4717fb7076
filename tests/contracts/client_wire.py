"""What every face of the client makes of peers that are not the daemon they should be, and when it sends again."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import X509, PKey
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater

from sandbox.client import errors
from sandbox.client.retrying import Retries
from tests.api.stage import KEY

reactor: Any = _reactor

#: What plays a peer: it is given the transport once a whole request has come.
Script = Callable[[Any], None]


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


def self_signed(path: Path) -> CertificateOptions:
    """A certificate for localhost that no authority signed; it is written to a file too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return CertificateOptions(PKey.from_cryptography_key(key), X509.from_cryptography(certificate))


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
        piece = b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n"
        endless = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + piece)
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
        for status, code, kind in (
            (404, "SESSION_NOT_FOUND", errors.SessionNotFound),
            (500, "ENGINE_UNAVAILABLE", errors.EngineUnavailable),
        ):
            await self.fails(kind, self.peer(refuse(status, code)))
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

    async def test_it_is_spoken_to_over_a_unix_socket(self) -> None:
        path = f"/tmp/sandbox-test-{os.getpid()}-{secrets.token_hex(4)}.sock"
        requests: list[bytes] = []
        factory = Factory.forProtocol(lambda: _Peer([answer("200 OK", SESSION)], requests))
        port = reactor.listenUNIX(path, factory)
        self.addCleanup(port.stopListening)
        self.assertEqual((await self.do("get_session", "s1", client=self.client(f"unix:{path}"))).id, "s1")
        self.assertIn(b"\r\nhost: localhost\r\n", requests[0].lower())
        missing = self.client("unix:/tmp/sandbox-test-nobody.sock", retries=Retries(attempts=1))
        await self.fails(errors.Unreachable, missing)

    async def test_a_certificate_that_nobody_vouches_for_ends_the_call_before_the_key_is_sent(self) -> None:
        requests: list[bytes] = []
        factory = Factory.forProtocol(lambda: _Peer([answer("200 OK", SESSION)], requests))
        certificate = Path(self.mktemp())
        port = reactor.listenSSL(0, factory, self_signed(certificate), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = self.client(f"https://localhost:{port.getHost().port}", retries=Retries(attempts=1))
        try:
            await self.do("get_session", "s1", client=client)
        except (errors.Unreachable, errors.ConnectionLost) as error:
            self.assertIn("certificate", str(error).lower())
        else:
            raise AssertionError("it was trusted")
        self.assertEqual(requests, [])
        os.environ["SSL_CERT_FILE"] = str(certificate)
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        self.assertEqual((await self.do("get_session", "s1", client=client)).id, "s1")

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
