"""A proxy that speaks TLS to browsers and HTTP to the daemon, and says so, as etc/nginx-example.conf does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: Where its connections to the daemon come from: TRUSTED_PROXIES. Browsers' own come from 127.0.0.1.
ADDRESS = "127.0.0.2"
#: Where it says that browsers are.
VISITOR = b"203.0.113.7"


class Certificate:
    """A certificate that signs itself, for no name: browsers of the tests know its key.

    :ivar pin: the digest of its key, as Chromium's ``--ignore-certificate-errors-spki-list`` takes it.
    """

    def __init__(self, directory: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.path = directory / "certificate.pem"
        self.path.write_bytes(private + made.public_bytes(pem))
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        public = key.public_key().public_bytes(serialization.Encoding.DER, info)
        self.pin = base64.b64encode(hashlib.sha256(public).digest()).decode()


class TlsProxy:
    """One such proxy, in a thread of its own. It carries one request a connection, or one that becomes a WebSocket.

    :param target: the daemon's port.
    :ivar port: its own, on loopback.
    """

    def __init__(self, certificate: Certificate, target: int) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.path)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=self._context)
        server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """End it with all that it carries."""

        async def end() -> None:
            carried = asyncio.all_tasks() - {asyncio.current_task()}
            for task in carried:
                task.cancel()
            await asyncio.gather(*carried, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _carry(self, browser: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        # A browser opens connections that it does not need, and hangs up when it likes.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await browser.readuntil(b"\r\n\r\n")
            daemon, request = await asyncio.open_connection("127.0.0.1", self._target, local_addr=(ADDRESS, 0))
            request.write(forwarded(head))
            ways = [asyncio.create_task(_copy(browser, request)), asyncio.create_task(_copy(daemon, answer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                request.close()
        answer.close()


def forwarded(head: bytes) -> bytes:
    """A request's head, as the proxy passes it on."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}
    said = [
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-For: " + VISITOR,
        b"X-Forwarded-Host: " + fields[b"host"],
    ]
    if b"upgrade" not in fields:
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        said.append(b"Connection: close")
    return b"\r\n".join([*lines, *said, b"", b""])


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
