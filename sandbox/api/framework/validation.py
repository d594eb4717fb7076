"""Validation of requests by JSON Schema (2020-12), with error messages that name the field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jsonschema

from sandbox.api.framework.schemas import ITEM_LIMIT, NAME, NO_NUL, PATH_FORMAT, Schema
from sandbox.domain.errors import InvalidRequest

#: Maximum of unknown fields that an error message names.
_NAMED = 5
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_integer(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterable[jsonschema.ValidationError]:
    # Python's $ also matches before a final newline; JSON Schema's does not.
    if isinstance(value, str) and not re.search(pattern.replace("$", "\\Z"), value):
        yield jsonschema.ValidationError(f"does not match {pattern}")


def _quick(keyword: str, known: Schema, kind: type, members: Callable[[Any], Iterable[tuple[Any, Any]]]) -> Any:
    """A keyword that checks each member of a value, by one comparison for a valid one.

    The library takes some 20 µs per member, and a body may contain a million; here it only gets the invalid ones.
    """
    usual = jsonschema.Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, subschema: Any, value: Any, schema: Any) -> Iterable[jsonschema.ValidationError]:
        if subschema is not known or not isinstance(value, kind):
            yield from usual(validator, subschema, value, schema)
            return
        for place, member in members(value):
            if not isinstance(member, str) or "\0" in member or (known is NAME and ("=" in member or not member)):
                yield from validator.descend(member, known, path=place)
                return

    return check


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    validators={
        "pattern": _pattern,
        "items": _quick("items", NO_NUL, list, enumerate),
        "additionalProperties": _quick("additionalProperties", NO_NUL, dict, lambda value: value.items()),
        "propertyNames": _quick("propertyNames", NAME, dict, lambda value: ((None, name) for name in value)),
    },
    # JSON Schema accepts 3000.0 as an integer; the contract does not.
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def compiled(schema: Schema) -> jsonschema.protocols.Validator:
    """The cached validator of a schema."""
    return _Validator(schema)


def load(body: bytes, validator: jsonschema.protocols.Validator) -> dict[str, Any]:
    """A request's body as validated values; an absent body counts as an empty object.

    :raises InvalidRequest: naming the field, for malformed JSON, a wrong type or an unknown field (contract section 1).
    """
    try:
        value = json.loads(body.decode("utf-8") or "{}", object_pairs_hook=_pairs, parse_constant=_constant)
    except UnicodeDecodeError:
        raise InvalidRequest("Request body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("Request body must be a JSON object")
    for name, member in [("(body)", value), *value.items()]:
        if isinstance(member, list | dict) and len(member) > ITEM_LIMIT:
            raise InvalidRequest(f"Request body field '{name[:100]}' must have at most {ITEM_LIMIT} items")
    errors = _ordered(validator.iter_errors(value))
    if errors:
        raise InvalidRequest(_explain(errors[0]) + _beside(errors))
    return value


def read(name: str, values: Sequence[bytes], validator: jsonschema.protocols.Validator) -> Any:
    """A parameter of the query or the head as a validated value; ``None`` when it is missing.

    :param name: its name in error messages, such as ``Query parameter 'path'``.
    :raises InvalidRequest: when it is given twice or does not match its schema.
    """
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest(f"{name} is given more than once")
    schema = validator.schema
    try:
        # A file name may contain any byte, encoded as in :mod:`sandbox.policy.paths`.
        text = values[0].decode("utf-8", "surrogateescape" if schema.get("format") == PATH_FORMAT else "strict")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name} is not UTF-8") from None
    value = int(text) if schema.get("type") == "integer" and _INTEGER.fullmatch(text) else text
    first = next(validator.iter_errors(value), None)
    if first is not None:
        raise InvalidRequest(str(schema.get("x-message") or f"{name} {_ask(first)}"))
    return value


def _ordered(errors: Iterable[Any]) -> list[Any]:
    # The most useful of several errors first: missing, then invalid, then unknown fields.
    rank = {"required": 0, "additionalProperties": 2}
    return sorted(errors, key=lambda error: rank.get(error.validator, 1))


def _beside(errors: list[Any]) -> str:
    """Names the unknown fields next to a missing one, which may be there under a wrong name."""
    names = [name for error in errors if error.validator == "additionalProperties" for name in _unknown(error)]
    if errors[0].validator != "required" or not names:
        return ""
    return f"; unknown field{'s' if len(names) > 1 else ''} " + ", ".join(f"'{name[:100]}'" for name in names[:_NAMED])


def _unknown(error: Any) -> list[str]:
    return sorted(set(error.instance) - set(error.schema.get("properties", {})))


def _explain(error: Any) -> str:
    if "x-message" in error.schema:
        return str(error.schema["x-message"])
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"Request body field '{missing}' is required"
    if error.validator == "additionalProperties":
        return f"Request body field '{_unknown(error)[0][:100]}' is unknown"
    field = ".".join(str(step) for step in error.absolute_path)[:100]
    return f"Request body field '{field}' {_ask(error)}"


def _ask(error: Any) -> str:
    return str(_ASKS.get(error.validator, _invalid)(error))  # type: ignore[no-untyped-call]


def _invalid(error: Any) -> str:
    return "is not valid"


_ASKS = {
    "type": lambda e: f"must be of type {e.validator_value}",
    "minimum": lambda e: f"must be at least {e.validator_value}",
    "maximum": lambda e: f"must be at most {e.validator_value}",
    "minLength": lambda e: "must not be empty",
    "maxLength": lambda e: f"must have at most {e.validator_value} characters",
    "enum": lambda e: "must be one of " + ", ".join(map(str, e.validator_value)),
    "pattern": lambda e: "must not contain NUL" if "x00" in e.validator_value else f"must match {e.validator_value}",
}
