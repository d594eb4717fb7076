"""A variable: its name, what it accepts, what stands for it when it is unset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

REQUIRED: Any = object()
_METADATA = "sandbox.setting"


class SettingError(ValueError):
    """A variable that is missing or does not parse; the message is one line that names it and what it accepts."""


@attrs.frozen
class Variable:
    """One environment variable.

    :ivar parse: text to value; raises ``ValueError`` on anything else.
    :ivar accepts: what it accepts, in a few words, for the error and the help.
    :ivar default: the text that stands for it when it is unset, or ``REQUIRED``, or ``None`` (unset).
    :ivar live: whether a running daemon takes a new value, at SIGHUP.
    """

    name: str
    parse: Callable[[str], Any]
    accepts: str
    default: str | None
    help: str
    secret: bool = False
    live: bool = False

    def read(self, environment: Mapping[str, str]) -> Any:
        """The variable's value. One that is set to nothing counts as unset.

        :raises SettingError: when it is missing or wrong.
        """
        text = environment.get(self.name) or self.default
        if text is REQUIRED:
            raise SettingError(f"{self.name} is required: set it to {self.accepts}")
        try:
            return None if text is None else self.parse(text)
        except ValueError:
            shown = "" if self.secret else f", not {text!r}"
            raise SettingError(f"{self.name} must be {self.accepts}{shown}") from None


def variable(
    name: str,
    kind: tuple[Callable[[str], Any], str],
    default: Any,
    help: str,
    *,
    secret: bool = False,
    live: bool = False,
) -> Any:
    """Declare a field of a group of settings as a variable.

    :param kind: how its text is read, and what it accepts (:mod:`sandbox.settings.kinds`).
    """
    parse, accepts = kind
    return attrs.field(metadata={_METADATA: Variable(name, parse, accepts, default, help, secret, live)})


def declared(group: type) -> dict[str, Variable]:
    """The variables of a group of settings, by field, in the order in which they stand there."""
    return {field.name: field.metadata[_METADATA] for field in attrs.fields(group)}
