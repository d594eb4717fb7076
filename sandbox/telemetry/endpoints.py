"""The monitoring endpoints: ``/healthz``, ``/readyz`` and ``/metrics``.

They are not part of the API: they are served before the API is, and to monitoring programs without a service key.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox import __version__
from sandbox.domain.errors import InvalidRequest
from sandbox.http.authentication import ServiceKey
from sandbox.http.replies import Reply, error_reply, reply_to
from sandbox.http.request import Request
from sandbox.policy.queries import refuse_parameters
from sandbox.telemetry.health import Health, Report, Status

HEALTHZ, READYZ, METRICS = b"/healthz", b"/readyz", b"/metrics"
#: Their route names in metrics.
ROUTES = frozenset(path.decode("ascii") for path in (HEALTHZ, READYZ, METRICS))

_NO_STORE = ((b"cache-control", b"no-store"),)
_ALLOWED = frozenset({b"GET", b"HEAD"})


class Watch(Resource):
    """Serves the monitoring endpoints on one site.

    Liveness and readiness are public, as one word. Details and ``/metrics`` require the service key; without it
    ``/metrics`` does not exist.

    :param metrics: renders the metrics; returns the bytes and their media type.
    :param service_key: authorizes access to the details.
    :param inside: whether the site is internal (``INTERNAL_LISTEN``) and requires no key.
    """

    isLeaf = True

    def __init__(
        self, health: Health, metrics: Callable[[], tuple[bytes, bytes]], service_key: ServiceKey, *, inside: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._health = health
        self._metrics = metrics
        self._service_key = service_key
        self._inside = inside

    def takes(self, request: Request) -> bool:
        """Whether a request addresses one of the endpoints; if so, route it here."""
        path = request.uri.partition(b"?")[0]
        if path not in {HEALTHZ, READYZ, METRICS} or (path == METRICS and not self._knows(request)):
            return False
        request.route = path.decode("ascii")
        request.resource = self
        return True

    def _knows(self, request: Request) -> bool:
        return self._inside or self._service_key.knows(request)

    def render(self, request: Request) -> int:
        """Respond at once, or when the readiness checks have completed."""
        if request.method not in _ALLOWED:
            allow = ((b"allow", b"GET, HEAD"),)
            request.respond(error_reply(405, "METHOD_NOT_ALLOWED", "Method not allowed", allow))
            return NOT_DONE_YET
        try:
            refuse_parameters(request.uri)
        except InvalidRequest as error:
            request.respond(reply_to(error))
            return NOT_DONE_YET
        if request.route == METRICS.decode("ascii"):
            body, media_type = self._metrics()
            request.respond(Reply(200, None, _NO_STORE), body, media_type)
        elif request.route == HEALTHZ.decode("ascii"):
            request.respond(self._alive(request))
        else:
            told = self._health.report().addCallback(self._tell, request)
            told.addErrback(request.processingFailed).addErrback(lambda _: None)
        return NOT_DONE_YET

    def _alive(self, request: Request) -> Reply:
        payload: dict[str, Any] = {"status": "alive"}
        if self._knows(request):
            uptime = round(monotonic() - self._health.began, 3)
            payload |= {"state": self._health.status.value, "version": __version__, "uptimeSeconds": uptime}
        return Reply(200, payload, _NO_STORE)

    def _tell(self, report: Report, request: Request) -> None:
        if request.gone:
            return
        told: dict[str, Any] = {"status": report.status.value}
        detailed = self._knows(request)
        if detailed:
            told["checks"] = {
                name: {
                    "ok": finding.error is None,
                    "latencyMs": round(finding.seconds * 1000, 3),
                    **({} if finding.error is None else {"error": finding.error}),
                }
                for name, finding in report.findings.items()
            }
        if report.status is Status.READY:
            request.respond(Reply(200, told, _NO_STORE))
            return
        reason = report.reason if detailed else f"The daemon is {report.status.value}"
        refusal = error_reply(503, "NOT_READY", reason)
        payload = {**refusal.payload, **told} if isinstance(refusal.payload, dict) else told
        request.respond(attrs.evolve(refusal, payload=payload, headers=_NO_STORE))
