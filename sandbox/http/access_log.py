"""Access log: one line per request, sampled under load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger, LogLevel

if TYPE_CHECKING:
    from sandbox.http.request import Request

_log = Logger(namespace="sandbox.access")

#: Bytes of a path in a line. The query is never logged: it may contain credentials.
_PATH = 512
# Routes open to the public, which are sampled; the others are the platform's own.
_MANY = frozenset({"preview", "internal preview", "other", "api"})


class _Portion:
    """Sampler: admits the first events of each second, and a fraction of the others.

    :param rate: number of events per second that are always admitted.
    :param share: fraction of the others.
    """

    def __init__(self, rate: int, share: float) -> None:
        self._rate = rate
        self._share = share
        self._renewed = 0.0
        self._left = 0
        self._owed = 0.0

    def has(self, now: float) -> bool:
        """Whether to admit the next event."""
        if now - self._renewed >= 1:
            self._renewed, self._left = now, self._rate
        if self._left:
            self._left -= 1
            return True
        self._owed += self._share
        if self._owed < 1:
            return False
        self._owed -= 1
        return True


class AccessLog:
    """Logs finished requests; see :class:`sandbox.http.site.Site`.

    A line costs half as much as relaying a preview request, and any client can cause one. So preview requests are
    sampled: the first of each second are logged, and a fraction of the others. Failures (5xx) and upgrades have a
    separate rate, so that no number of other requests hides them. API calls with the service key are always logged.
    Monitoring requests are logged at level ``debug``.

    :param share: fraction of preview requests logged beyond ``rate``; 0: only failures and upgrades are logged.
    :param rate: number of requests of either kind logged per second before sampling.
    :param watched: routes of monitoring requests.
    """

    def __init__(self, share: float, rate: int, watched: Iterable[str] = ()) -> None:
        self._usual = _Portion(rate if share else 0, share)
        self._notable = _Portion(rate, share)
        self._watched = frozenset(watched)

    def __call__(self, request: Request, now: float) -> None:
        """Log a request, or skip it by sampling."""
        code = request.code
        notable = code >= 500 or code == 101
        watching = request.route in self._watched
        if request.route in _MANY or (watching and notable):
            portion = self._notable if notable else self._usual
            if not portion.has(now):
                request.logged = False
                return
        self._write(LogLevel.debug if watching and not notable else LogLevel.info, request, now - request.begun)

    def _write(self, level: Any, request: Request, seconds: float) -> None:
        channel = request.channel
        fields: dict[str, Any] = {"error": request.error} if request.error else {}
        if request.session_id:
            fields["session"] = request.session_id
        if request.principal is not None:
            fields["by"] = str(request.principal)
        if request.cut:
            fields["cut"] = True
        _log.emit(
            level,
            "{method} {path} {status} {ms} ms",
            method=request.method.decode("ascii"),
            path=request.uri.partition(b"?")[0][:_PATH].decode("ascii", "backslashreplace"),
            status=int(request.code),
            ms=round(seconds * 1000, 3),
            bytes_in=channel.bytes_in,
            bytes_out=channel.bytes_out,
            route=request.route,
            peer=channel.peer or "unix",
            request_id=request.id.decode("ascii"),
            **fields,
        )
