"""Retry policy of calls. Pure: the clients wait and send."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import attrs

from sandbox.client.errors import ApiError, ClientError, ConnectionLost, OutcomeUnknown, Unreachable
from sandbox.client.protocol import Call


@attrs.frozen(kw_only=True)
class Retries:
    """Retry policy.

    Every call is retried when connecting failed, since nothing was sent. Idempotent calls (every GET and DELETE, start
    and stop, commands by their ``Idempotency-Key``) are also retried when the connection was lost before the response,
    and after a 503. Nothing else is retried.

    :ivar attempts: maximum number of attempts, including the first.
    :ivar first: seconds before the second attempt; each pause is twice the previous one.
    :ivar longest: maximum pause in seconds, also for the daemon's ``Retry-After``.
    """

    attempts: int = 3
    first: float = 0.2
    longest: float = 5.0


@attrs.define
class Attempts:
    """Attempts of one call.

    :ivar lost: the latest failure with an unknown outcome, or ``None``.
    """

    call: Call[Any]
    retries: Retries
    lost: ConnectionLost | None = None
    _failed: int = 0

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next attempt.

        :raises ClientError: the error for the caller, when the call is not retried.
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
