"""Holds answers against the API's description: operation, status, type, header fields and every field of the body.

What the tests' clients hear (:mod:`tests.api.stage`, :mod:`tests.daemon`) goes through :func:`check`, so that the
description cannot say less, more or something else than the daemon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from sandbox.api.internal.api import description

#: The refusals that no operation lists because they are not its own: the document's introduction does.
GENERAL = {
    (400, "MALFORMED_REQUEST"),
    (404, "NOT_FOUND"),  # a listener that has no such face of the daemon
    (408, "REQUEST_TIMEOUT"),
    (408, "UPLOAD_TIMEOUT"),
    (413, "BODY_TOO_LARGE"),
    (414, "URI_TOO_LONG"),
    (431, "HEADERS_TOO_LARGE"),
}
_OURS = ("/api/internal/",)
_NAME = "urn:description"


def closed(value: Any) -> Any:
    """A schema that allows no field beside those that it names: a field that is not described is found."""
    if isinstance(value, list):
        return [closed(member) for member in value]
    if not isinstance(value, dict):
        return value
    if "allOf" in value:
        return {**value, "unevaluatedProperties": False}
    found = {name: closed(member) for name, member in value.items()}
    if "properties" in found and "additionalProperties" not in found:
        found["additionalProperties"] = False
    return found


@cache
def _document() -> dict[str, Any]:
    document = description()
    schemas = document["components"]["schemas"]
    narrow = {name: schema if name == "Error" else closed(schema) for name, schema in schemas.items()}
    return {"paths": closed(document["paths"]), "components": {"schemas": narrow}}


@cache
def _registry() -> Registry:
    return Registry().with_resource(_NAME, Resource(_document(), DRAFT202012))


@cache
def _validator(*steps: str) -> jsonschema.protocols.Validator:
    place = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
    schema = {"$ref": f"{_NAME}#/{place}"}
    return jsonschema.Draft202012Validator(
        schema, registry=_registry(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    paths = description()["paths"]
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def check(method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fail with an AssertionError when an answer is not what the description says.

    :param target: path and query; of what is not the API's, and not described, nothing is asked.
    :param headers: by lower-case name.
    """
    path = target.partition("?")[0]
    found = next((template for pattern, template in _templates() if pattern.fullmatch(path)), None)
    operations = _document()["paths"].get(found, {})
    operation = operations.get("get" if method == "HEAD" else method.lower())
    what = f"{method} {target[:200]} answers {status} {body[:500]!r}"
    if operation is None:
        if path.startswith(_OURS):
            _check_refusal(what, 404 if found is None else 405, status, headers, body)
        return
    if "default" in operation["responses"]:
        return
    described = operation["responses"].get(str(status))
    payload = json.loads(body) if headers.get("content-type", "").startswith("application/json") and body else None
    if described is None or (status >= 400 and (status, (payload or {}).get("code")) in GENERAL):
        code = payload.get("code") if isinstance(payload, dict) else None
        assert (status, code) in GENERAL, f"{what}: that status is not described"
        return
    for name in described.get("headers", {}):
        assert name.lower() in headers, f"{what}: it lacks {name}"
    content = described.get("content")
    if content is None:
        assert not body, f"{what}: no body is described"
        assert "content-type" not in headers, f"{what}: no body is described"
        return
    media_type = headers.get("content-type", "").partition(";")[0]
    assert media_type in content, f"{what}: its type is {media_type}, not {list(content)}"
    if media_type == "application/json" and method != "HEAD":
        steps = ("paths", found or "", method.lower(), "responses", str(status), "content", media_type, "schema")
        wrong = jsonschema.exceptions.best_match(_validator(*steps).iter_errors(payload))
        assert wrong is None, f"{what}: {wrong}"


def _check_refusal(what: str, expected: int, status: int, headers: Mapping[str, str], body: bytes) -> None:
    # Without the key, or with a path that is no text, nobody looks for the operation.
    assert status in (expected, 403, 400), f"{what}: not {expected}"
    assert status != 405 or "allow" in headers, f"{what}: it lacks Allow"
    if body:
        payload = json.loads(body)
        assert {"statusCode", "error", "code", "message"} <= set(payload), f"{what}: that is no error"
        assert payload["statusCode"] == status, what
