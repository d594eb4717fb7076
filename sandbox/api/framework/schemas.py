"""What schemas of all APIs are made of, and what :mod:`sandbox.api.framework.validation` knows by name."""

from __future__ import annotations

from typing import Any

#: JSON Schema (2020-12). One with a ``title`` stands in a description once, under that name. ``x-message`` is what a
#: refusal says of a value that does not fit.
Schema = dict[str, Any]

#: Items of one array or object; more would keep the reactor from its other work while they are looked through.
ITEM_LIMIT = 20_000

#: The format of names of files, in which any byte may stand.
PATH_FORMAT = "workspace-path"

NO_NUL: Schema = {"type": "string", "pattern": "^[^\\x00]*$"}
NAME: Schema = {
    "pattern": "^[^=\\x00]+$",
    "x-message": "Request body field 'env' has a name that is empty or holds '=' or NUL",
}
