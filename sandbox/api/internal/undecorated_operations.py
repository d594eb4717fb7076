"""What the daemon answers beside the endpoints of the internal API, for the description of both."""

from __future__ import annotations

from sandbox.api.framework.operation import Answer, Auth, Operation
from sandbox.api.internal import errors
from sandbox.api.internal.errors import error_response
from sandbox.api.internal.wire.health import Alive, NotReady, Ready
from sandbox.api.internal.wire.previews import HEALTH
from sandbox.domain.errors import Overloaded, PreviewMisbehaved, PreviewTimedOut, PreviewUnreachable, UnknownPath

_PREVIEW = (error_response(UnknownPath), *errors.PREVIEW)
_CARRIED = (
    *_PREVIEW,
    error_response(Overloaded, "TOO_MANY_PREVIEW_CONNECTIONS"),
    error_response(PreviewUnreachable),
    error_response(PreviewMisbehaved),
    error_response(PreviewTimedOut),
)

#: The carrying of previews is described by one method of all, and without the paths below the application's root:
#: OpenAPI has no words for "every method" and "any path".
UNDECORATED = (
    Operation(
        name="preview_health",
        text="Whether the application in a session answers: one GET of its `/`, with five seconds.\n\n"
        "On the public listener, for everybody, whatever the access to the preview is.",
        tag="previews",
        method="GET",
        path="/previews/{sessionId}/health",
        answers=(Answer(200, "It answers, or why it does not.", HEALTH),),
        own_errors=_PREVIEW,
        auth=Auth.NONE,
    ),
    Operation(
        name="carry_preview",
        text="The application in a session.\n\n"
        "Every method, every path below this one, and WebSockets are carried alike; what answers is the application. "
        "Whether a path is one is told by the session's id only, so nothing of it is decoded or normalised. When the "
        "daemon has to answer itself it does so in the shape of its errors. The public twin, "
        "`/previews/{sessionId}/…`, is for users: it needs no service key, and obeys the access that the preview was "
        "registered with.",
        tag="previews",
        method="GET",
        path="/internal-previews/proxy/{sessionId}/",
        own_errors=_CARRIED,
    ),
    Operation(
        name="alive",
        text="Whether the daemon runs.\n\nAnswered while it is starting and ending, too. With the key it says more.",
        tag="operations",
        method="GET",
        path="/healthz",
        answers=(Answer(200, "It runs.", Alive),),
        auth=Auth.OPTIONAL,
        always=errors.UNFORESEEN,
    ),
    Operation(
        name="ready",
        text="Whether the daemon can do its work: whether engine and store answer.\n\n"
        "Asked of them at most once a second. With the key it says how each of them is.",
        tag="operations",
        method="GET",
        path="/readyz",
        answers=(
            Answer(200, "It can.", Ready),
            Answer(503, "It cannot, and this is why.", NotReady),
        ),
        auth=Auth.OPTIONAL,
        always=errors.UNFORESEEN,
    ),
    Operation(
        name="metrics",
        text="Metrics for Prometheus, in its text format.\n\n"
        "Without the key there is no such path, but for a listener of the operator's own (`INTERNAL_LISTEN`).",
        tag="operations",
        method="GET",
        path="/metrics",
        answers=(Answer(200, "The metrics.", text_type="text/plain"),),
        own_errors=(error_response(UnknownPath),),
        auth=Auth.OPTIONAL,
    ),
)
