"""What schemathesis has to know of this API beyond its description, so that few containers do for many requests.

Loaded by schemathesis in a process of its own; what it needs of the test comes by variables.
"""

from __future__ import annotations

import os
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st

#: Sessions that the test made: one for what goes on in a container, one to be started and stopped.
BUSY, IDLE = os.environ["FUZZING_BUSY"], os.environ["FUZZING_IDLE"]
IMAGE = os.environ["FUZZING_IMAGE"]
CURSOR = os.environ["FUZZING_CURSOR"]
_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_INTEGERS = {"memoryMb", "timeoutMs", "port", "ttlSeconds"}
_CHANGING = ("start_session", "stop_session")

_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)
schemathesis.openapi.format("workspace-path", _paths)
schemathesis.openapi.format("working-directory", st.just("/tmp") | _paths)
schemathesis.openapi.format("cursor", st.just(CURSOR))

_made: set[str] = set()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Take a session that there is where the id is one, and an image and limits that the daemon has."""
    name = case.operation.definition.raw["operationId"]
    session_id = (case.path_parameters or {}).get("sessionId")
    known = isinstance(session_id, str) and _ID.fullmatch(session_id) and session_id not in _made
    if known and name != "delete_session":
        case.path_parameters["sessionId"] = IDLE if name in _CHANGING else BUSY
    if "Idempotency-Replay" in (case.headers or {}):
        # OpenAPI has no words for a header that needs another one.
        case.headers.setdefault("Idempotency-Key", "fuzz")
    if isinstance(case.body, dict):
        # JSON Schema takes 3000.0 for an integer; the contract does not, and the document's introduction says so.
        for field in _INTEGERS & set(case.body):
            _replace(case.body, field, float, float.is_integer, int)
    if name == "create_session" and isinstance(case.body, dict):
        _replace(case.body, "image", str, lambda text: 0 < len(text) <= 512 and "\0" not in text, IMAGE)
        _replace(case.body, "memoryMb", int, lambda number: number >= 16, 64)
        _replace(case.body, "cpus", (int, float), lambda number: number >= 0.01, 0.5)
    if name == "exec" and isinstance(case.body, dict):
        _replace(case.body, "timeoutMs", int, lambda number: 2000 < number <= 600_000, 2000)


def _replace(body: dict[str, Any], field: str, kind: Any, fits: Any, value: object) -> None:
    found = body.get(field)
    if isinstance(found, kind) and not isinstance(found, bool) and fits(found):
        body[field] = value(found) if callable(value) else value


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember which sessions were made: links lead to them."""
    if case.operation.definition.raw["operationId"] == "create_session" and response.status_code == 201:
        _made.add(response.json()["id"])


@schemathesis.check
def no_unforeseen_error(context: Any, response: Any, case: Any) -> None:
    """The contract has 500 for what containers and engine refuse; what nobody foresaw has a code of its own."""
    assert b'"INTERNAL"' not in response.content, "an unforeseen error"
