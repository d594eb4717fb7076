"""Sans-I/O calls: requests to send, and interpretation of responses. Transports do the I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from sandbox import __version__
from sandbox.client.errors import ApiError, BadAnswer, error_class

T = TypeVar("T")
#: Header fields in the order of sending.
Headers = tuple[tuple[bytes, bytes], ...]

#: Maximum bytes of a response: two output streams of the daemon's default limit (10 MiB), each byte of which may become
#: six in JSON, with room for the rest.
ANSWER_LIMIT = 128 * 1024 * 1024
#: Timeout of a response in seconds, in addition to a command's own timeout.
TIMEOUT = 90.0

_JSON = b"application/json"
_AGENT = f"sandbox-client/{__version__}".encode("ascii")


@attrs.frozen
class Answer:
    """A complete HTTP response.

    :ivar headers: by lower-case name; the last one of a repeated field.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """A request to the daemon, and the parser of its response.

    :ivar target: path and query, percent-encoded.
    :ivar payload: the JSON body; ``None``: no body.
    :ivar parse: converts the decoded response (``None`` when it has no body) to the result.
    :ivar repeatable: whether it may be retried although the first attempt may have been executed.
    :ivar repeat_headers: additional fields of such a retry, which prevent a second execution.
    :ivar work: seconds added to the client's timeout for the call's own work.
    :ivar family: class of its errors when neither code nor status determines one.
    :ivar public: whether it goes to the public listener, which must not receive the service key.
    :ivar accept: media type of the response; other types than JSON are parsed as text.
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
        """The request's body in UTF-8 JSON, with lone surrogates (bytes of file names) as escapes."""
        if self.payload is None:
            return None
        try:
            return json.dumps(self.payload, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except UnicodeEncodeError:
            return json.dumps(self.payload, allow_nan=False).encode("ascii")

    def fields(self, key: str, *, repeated: bool = False) -> Headers:
        """The request's header fields, except Host and Content-Length.

        :param repeated: whether an earlier attempt may have been executed.
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
        """Convert the response to the call's result.

        :raises ApiError: when the daemon responded with an error.
        :raises BadAnswer: when the response violates the contract.
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
            return None  # an error of an intermediary
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
    # The daemon never sends the other form, a date.
    return float(text) if text.isascii() and text.isdigit() else None
