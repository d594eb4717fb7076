"""Requests to the daemon: made here, and shown as the ``curl`` lines that make the same."""

from __future__ import annotations

import http.client
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quickstart.console import Failed

SESSIONS = "/api/internal/sessions"


@dataclass(frozen=True)
class Call:
    """One request.

    :ivar body: sent as JSON when it is there.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None

    def curl(self, url: str, key_file: Path) -> str:
        """The command that makes it from a shell; the key stays in its file, out of the list of processes."""
        words = ["curl"]
        if self.path.startswith("/api/"):
            words += ["-H", f"@{key_file}"]
        if self.body is not None:
            words += ["-d", json.dumps(self.body)]
        elif self.method != "GET":
            words += ["-X", self.method]
        return shlex.join([*words, url + self.path])


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body's JSON, ``None`` when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Wire:
    """The daemon's clients: one that knows the service key, for the API, and one that does not, for previews.

    :param url: ``http://host:port``.
    :param key_file: one header line with the service key.
    """

    def __init__(self, url: str, key_file: Path) -> None:
        self.url = url
        self.key_file = key_file

    def send(self, call: Call, *, authenticated: bool = True, timeout: float = 60) -> Answer:
        """Make the request.

        :raises OSError: when the daemon cannot be reached.
        """
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        if authenticated and call.path.startswith("/api/"):
            name, _, value = self.key_file.read_text().strip().partition(": ")
            headers[name] = value
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=timeout)
        try:
            connection.request(call.method, call.path, None if call.body is None else json.dumps(call.body), headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from None
        finally:
            connection.close()

    def expect(self, status: int, call: Call, *, authenticated: bool = True) -> Answer:
        """Make a request whose answer must have this status.

        :raises Failed: naming the request and what came instead.
        """
        try:
            answer = self.send(call, authenticated=authenticated)
        except OSError as error:
            raise Failed(f"{call.method} {call.path}: {error}") from None
        if answer.status != status:
            text = answer.body[:500].decode("utf-8", "replace")
            raise Failed(f"{call.method} {call.path} answered {answer.status} instead of {status}: {text}")
        return answer
