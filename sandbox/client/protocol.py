"""Calls without I/O: what is to be sent, and what an answer means. Transports carry them (sans I/O)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from sandbox import __version__
from sandbox.client.errors import ApiError, BadAnswer, error_class

T = TypeVar("T")
#: Ordered pairs, as they are sent.
Headers = tuple[tuple[bytes, bytes], ...]

#: Bytes of the largest answer that a client takes: two output streams of the daemon's default limit (10 MiB), each byte
#: of which may be six in JSON, and room for the rest.
ANSWER_LIMIT = 128 * 1024 * 1024
#: Seconds that an answer may take, beyond the time that a command was given.
TIMEOUT = 90.0

_JSON = b"application/json"
_AGENT = f"sandbox-client/{__version__}".encode("ascii")


@attrs.frozen
class Answer:
    """An HTTP response, read to its end.

    :ivar headers: by lower-case name; of a repeated one the last.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """One request to the daemon and how its answer is read.

    :ivar target: path and query, percent-encoded.
    :ivar payload: becomes the JSON body; ``None``: no body.
    :ivar parse: makes the result of the decoded answer (of ``None`` when it has no body).
    :ivar repeatable: whether it may be sent again when the first one may have been carried out.
    :ivar repeat_headers: what then stands beside the headers, so that it is not carried out twice.
    :ivar work: seconds that the daemon may need by the call's nature, on top of the client's timeout.
    :ivar family: what its failures are called when neither code nor status says it.
    :ivar public: whether it goes to the public face of the daemon, which the service key must not be shown to.
    :ivar accept: the media type of its answer; what is no JSON is parsed as text.
    """

    method: str
    target: str
    parse: Callable[[Any], T]
    payload: Mapping[str, Any] | None = None
    headers: Headers = ()
    repeatable: bool = False
    repeat_headers: Headers = ()
    work: float = 0.0
    family: type[ApiError] = ApiError
    public: bool = False
    accept: bytes = _JSON

    def body(self) -> bytes | None:
        """The request's body: UTF-8 JSON; lone surrogates, which stand for bytes of file names, as escapes."""
        if self.payload is None:
            return None
        try:
            return json.dumps(self.payload, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except UnicodeEncodeError:
            return json.dumps(self.payload, allow_nan=False).encode("ascii")

    def fields(self, key: str, *, repeated: bool = False) -> Headers:
        """The request's header fields, but Host and Content-Length.

        :param repeated: whether one before this may have been carried out.
        """
        fields = (
            ((b"accept", self.accept), (b"user-agent", _AGENT))
            + self.headers
            + (self.repeat_headers if repeated else ())
        )
        if self.payload is not None:
            fields += ((b"content-type", _JSON),)
        return fields if self.public else (*fields, (b"x-internal-service-key", key.encode("utf-8")))

    def result(self, answer: Answer) -> T:
        """What the call gives.

        :raises ApiError: when the daemon says no.
        :raises BadAnswer: when the answer is none of the contract's.
        """
        is_text = self.accept != _JSON and answer.headers.get("content-type", "").startswith(
            self.accept.decode("ascii")
        )
        payload = answer.body.decode("utf-8", "replace") if is_text else _decode(answer)
        if not 200 <= answer.status < 300:
            raise _refusal(answer, payload, self.family)
        try:
            return self.parse(payload)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadAnswer(f"{self.method} {self._path()}: the answer lacks or garbles {error}") from error

    def _path(self) -> str:
        return self.target.partition("?")[0]


def _decode(answer: Answer) -> Any:
    if not answer.body:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        if answer.status >= 400:
            return None  # something in between says no, in its own words
        raise BadAnswer(f"The answer (HTTP {answer.status}) is not JSON: is this the daemon's URL?") from None


def _refusal(answer: Answer, payload: Any, family: type[ApiError]) -> ApiError | BadAnswer:
    status = answer.status
    if status < 400:
        where = answer.headers.get("location", "nowhere")
        return BadAnswer(f"The answer is HTTP {status}, a redirect to {where}: is this the daemon's URL?")
    fields = dict(payload) if isinstance(payload, dict) else {}
    message, code = str(fields.pop("message", f"HTTP {status}")), str(fields.pop("code", "UNKNOWN"))
    return error_class(status, code, family)(
        message,
        status=status,
        code=code,
        details={name: value for name, value in fields.items() if name not in ("statusCode", "error")},
        request_id=answer.headers.get("x-request-id"),
        retry_after=_seconds(answer.headers.get("retry-after", "")),
    )


def _seconds(text: str) -> float | None:
    # Its other form, a date, is not the daemon's.
    return float(text) if text.isascii() and text.isdigit() else None
