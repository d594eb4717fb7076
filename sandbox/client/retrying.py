"""When a call is sent again. Pure: the clients wait and send."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import attrs

from sandbox.client.errors import ApiError, ClientError, ConnectionLost, OutcomeUnknown, Unreachable
from sandbox.client.protocol import Call


@attrs.frozen(kw_only=True)
class Retries:
    """How often and when a call that failed is sent again.

    Any call is, when no connection could be made: nothing was sent. Calls that are safe to repeat (every GET and
    DELETE, starts and stops, commands by their ``Idempotency-Key``) are also when the connection broke before the
    answer and when the daemon said 503. Nothing else is.

    :ivar attempts: at most, the first included.
    :ivar first: seconds before the second one; each pause is twice the last.
    :ivar longest: seconds of a pause at most, also of one that the daemon asks for with ``Retry-After``.
    """

    attempts: int = 3
    first: float = 0.2
    longest: float = 5.0


@attrs.define
class Attempts:
    """The attempts at one call.

    :ivar lost: the failure after which nobody knows whether the call was carried out, or ``None``.
    """

    call: Call[Any]
    retries: Retries
    lost: ConnectionLost | None = None
    _failed: int = 0

    def pause_after(self, error: ClientError) -> float:
        """Seconds to wait before the next attempt.

        :raises ClientError: when there is to be none: what the caller shall know.
        """
        self._failed += 1
        if isinstance(error, OutcomeUnknown) and self.lost is not None:
            raise self.lost from error
        if isinstance(error, ConnectionLost):
            self.lost = error
        refused = isinstance(error, ApiError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
        again = isinstance(error, Unreachable) or (
            self.call.repeatable and (refused or isinstance(error, ConnectionLost))
        )
        if not again or self._failed >= self.retries.attempts:
            raise error
        asked = getattr(error, "retry_after", None) or 0.0
        return float(min(max(asked, self.retries.first * 2 ** (self._failed - 1)), self.retries.longest))
