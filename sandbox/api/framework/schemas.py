"""Definitions shared by the schemas of all APIs and :mod:`sandbox.api.framework.validation`."""

from __future__ import annotations

from typing import Any

#: JSON Schema (2020-12). A schema with a ``title`` appears in a description once, under that name. ``x-message`` is the
#: error message for a value that does not match.
Schema = dict[str, Any]

#: Maximum items of one array or object; validating more would block the reactor.
ITEM_LIMIT = 20_000

#: The format of file names, which may contain any byte.
PATH_FORMAT = "workspace-path"

NO_NUL: Schema = {"type": "string", "pattern": "^[^\\x00]*$"}
NAME: Schema = {
    "pattern": "^[^=\\x00]+$",
    "x-message": "Request body field 'env' has a name that is empty or holds '=' or NUL",
}
