"""Wire types: a class a type, whose members are its schema, what it is decoded from and what it is encoded to.

A field of the wire is one member here, and one use of that: by the endpoint that reads it, or by the constructor call
that gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self, dataclass_transform

import attrs

from sandbox.api.framework.schemas import Schema

_WIRE = "wire"
#: What is encoded as it is; most values are.
_PLAIN = frozenset({str, int, bool, bytes, float, dict, type(None)})


class _Wire(NamedTuple):
    """A member on the wire.

    :ivar default: what it is when it is left out; ``attrs.NOTHING`` where it may not be.
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

    :param schema: of its value. A ``default`` in it is the member's; what has one may be left out.
    :param name: its name on the wire, when that is not its own in camelCase.
    :param default: what stands for it when it is left out; a member that is this is not encoded.
    :param decode: what its value becomes after it was checked.
    """
    default = schema.get("default", default)
    default = attrs.NOTHING if default is ... else default
    return attrs.field(default=default, metadata={_WIRE: _Wire("", name or "", schema, default, decode)})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(member,))
class Message:
    """A JSON object; a subclass's members are made by :func:`member`, and it is frozen.

    Class parameters: ``title``, its name in the description; ``example``; ``closed``, whether further fields are
    refused, as in requests.

    :cvar schema: describes it, by its title.
    :cvar bare: the same where it has no name of its own.
    :cvar properties: describe its members, by their names on the wire.
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
        """The message that a checked JSON object is.

        :raises InvalidRequest: for what a member's ``decode`` refuses.
        """
        found = {}
        for attribute, name, _, _, decode in cls._members:
            if name in body:
                found[attribute] = body[name] if decode is None else decode(body[name])
        return cls(**found)

    def encode(self) -> dict[str, Any]:
        """What :class:`sandbox.http.replies.Reply` writes for it; messages in it are encoded, in iterators lazily."""
        found = {}
        values = vars(self)
        for attribute, name, _, default, _ in self._members:
            value = values[attribute]
            if default is attrs.NOTHING or value != default:
                found[name] = value if type(value) in _PLAIN else _encoded(value)
        return found


def either(title: str, *variants: type[Message]) -> Schema:
    """The schema of what is one of some messages."""
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
