"""Declaration of a variable: its name, accepted values and default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

REQUIRED: Any = object()
_METADATA = "sandbox.setting"


class SettingError(ValueError):
    """A variable is missing or invalid; the message is one line with its name and the accepted values."""


@attrs.frozen
class Variable:
    """One environment variable.

    :ivar parse: converts text to a value; raises ``ValueError`` on invalid text.
    :ivar accepts: short description of the accepted values, for error and help.
    :ivar default: the text used when it is unset, or ``REQUIRED``, or ``None`` (unset).
    :ivar live: whether a reload (SIGHUP) applies a new value.
    """

    name: str
    parse: Callable[[str], Any]
    accepts: str
    default: str | None
    help: str
    secret: bool = False
    live: bool = False

    def read(self, environment: Mapping[str, str]) -> Any:
        """Return the variable's value. An empty variable counts as unset.

        :raises SettingError: when it is missing or invalid.
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

    :param kind: parser and description of the accepted values (:mod:`sandbox.settings.kinds`).
    """
    parse, accepts = kind
    return attrs.field(metadata={_METADATA: Variable(name, parse, accepts, default, help, secret, live)})


def declared(group: type) -> dict[str, Variable]:
    """Return the variables of a group of settings by field, in order of declaration."""
    return {field.name: field.metadata[_METADATA] for field in attrs.fields(group)}
