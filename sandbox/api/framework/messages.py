"""Wire types: a class a type, whose members are its schema, what it is decoded from and what it is encoded to.

A field of the wire is one member here, and one use of that: by the endpoint that reads it, or by the constructor call
that gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, dataclass_transform

import attrs

from sandbox.api.framework.schemas import Schema

_SCHEMA, _NAME, _DECODE = "wire schema", "wire name", "wire decode"


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
    metadata = {_SCHEMA: schema, _NAME: name, _DECODE: decode}
    return attrs.field(default=attrs.NOTHING if default is ... else default, metadata=metadata)


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

    def __init_subclass__(cls, *, title: str = "", example: object = None, closed: bool = False) -> None:
        attrs.frozen(kw_only=True, slots=False)(cls)
        members = {_wire_name(one): one for one in attrs.fields(cls)}  # type: ignore[arg-type]
        required = [name for name, one in members.items() if one.default is attrs.NOTHING]
        cls.properties = {name: one.metadata[_SCHEMA] for name, one in members.items()}
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
        for one in attrs.fields(cls):  # type: ignore[arg-type]
            name, decode = _wire_name(one), one.metadata[_DECODE]
            if name in body:
                found[one.name] = body[name] if decode is None else decode(body[name])
        return cls(**found)

    def encode(self) -> dict[str, Any]:
        """What :class:`sandbox.http.replies.Reply` writes for it; messages in it are encoded, in iterators lazily."""
        found = {}
        for one in attrs.fields(type(self)):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if one.default is attrs.NOTHING or value != one.default:
                found[_wire_name(one)] = _encoded(value)
        return found


def either(title: str, *variants: type[Message]) -> Schema:
    """The schema of what is one of some messages."""
    schemas = [{name: part for name, part in one.schema.items() if name != "examples"} for one in variants]
    return {
        "title": title,
        "oneOf": schemas,
        "examples": [example for one in variants for example in one.schema["examples"]],
    }


def _wire_name(one: attrs.Attribute[Any]) -> str:
    first, *others = one.name.split("_")
    return one.metadata[_NAME] or first + "".join(word.capitalize() for word in others)


def _encoded(value: Any) -> Any:
    if isinstance(value, Message):
        return value.encode()
    if isinstance(value, list):
        return [_encoded(one) for one in value]
    return map(_encoded, value) if isinstance(value, Iterator) else value
