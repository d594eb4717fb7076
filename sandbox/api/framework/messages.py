"""Wire types: one class per type, whose members define schema, decoding and encoding.

A field of the wire is one member here and one use of it: in the endpoint that reads it, or in the constructor call that
sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self, dataclass_transform

import attrs

from sandbox.api.framework.schemas import Schema

_WIRE = "wire"
#: Types that are encoded unchanged, as most values are.
_PLAIN = frozenset({str, int, bool, bytes, float, dict, type(None)})


class _Wire(NamedTuple):
    """A member on the wire.

    :ivar default: its value when omitted; ``attrs.NOTHING`` when it is required.
    """

    attribute: str
    name: str
    schema: Schema
    default: Any
    decode: Callable[[Any], Any] | None


def member(
    schema: Schema, *, name: str | None = None, default: Any = ..., decode: Callable[[Any], Any] | None = None
) -> Any:
    """A member of a message.

    :param schema: the schema of its value. A ``default`` in it is the member's default and makes it optional.
    :param name: its name on the wire; by default the attribute's name in camelCase.
    :param default: its value when omitted; a member with this value is not encoded.
    :param decode: converts its validated value.
    """
    default = schema.get("default", default)
    default = attrs.NOTHING if default is ... else default
    return attrs.field(default=default, metadata={_WIRE: _Wire("", name or "", schema, default, decode)})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(member,))
class Message:
    """A JSON object. Subclasses are frozen, with members made by :func:`member`.

    Class parameters: ``title``, its name in the description; ``example``; ``closed``, whether unknown fields are
    refused, as in requests.

    :cvar schema: its schema, with its title.
    :cvar bare: its schema without a title.
    :cvar properties: the schemas of its members, by their names on the wire.
    """

    schema: ClassVar[Schema]
    bare: ClassVar[Schema]
    properties: ClassVar[Mapping[str, Schema]]
    _members: ClassVar[tuple[_Wire, ...]]

    def __init_subclass__(cls, *, title: str = "", example: object = None, closed: bool = False) -> None:
        attrs.frozen(kw_only=True, slots=False)(cls)
        cls._members = tuple(map(_wire, attrs.fields(cls)))  # type: ignore[arg-type]
        required = [one.name for one in cls._members if one.default is attrs.NOTHING]
        cls.properties = {one.name: one.schema for one in cls._members}
        cls.bare = {
            "type": "object",
            **({"required": required} if required else {}),
            **({"additionalProperties": False} if closed else {}),
            "properties": dict(cls.properties),
        }
        cls.schema = {"title": title, **cls.bare, "examples": [example]}

    @classmethod
    def decode(cls, body: Mapping[str, Any]) -> Self:
        """The message of a validated JSON object.

        :raises InvalidRequest: when a member's ``decode`` refuses a value.
        """
        found = {}
        for attribute, name, _, _, decode in cls._members:
            if name in body:
                found[attribute] = body[name] if decode is None else decode(body[name])
        return cls(**found)

    def encode(self) -> dict[str, Any]:
        """The payload for :class:`sandbox.http.replies.Reply`; nested messages are encoded, in iterators lazily."""
        found = {}
        values = vars(self)
        for attribute, name, _, default, _ in self._members:
            value = values[attribute]
            if default is attrs.NOTHING or value != default:
                found[name] = value if type(value) in _PLAIN else _encoded(value)
        return found


def either(title: str, *variants: type[Message]) -> Schema:
    """The schema of a union of messages."""
    schemas = [{name: part for name, part in one.schema.items() if name != "examples"} for one in variants]
    return {
        "title": title,
        "oneOf": schemas,
        "examples": [example for one in variants for example in one.schema["examples"]],
    }


def _wire(one: attrs.Attribute[Any]) -> _Wire:
    wire: _Wire = one.metadata[_WIRE]
    first, *others = one.name.split("_")
    return wire._replace(attribute=one.name, name=wire.name or first + "".join(word.capitalize() for word in others))


def _encoded(value: Any) -> Any:
    if isinstance(value, Message):
        return value.encode()
    if isinstance(value, list):
        return [_encoded(one) for one in value]
    return map(_encoded, value) if isinstance(value, Iterator) else value
