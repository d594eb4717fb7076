"""Parser of environment files by the rules of systemd's ``EnvironmentFile=`` (systemd.exec(5)). Pure.

Libraries for ``.env`` files have other rules (``export``, comments after values, variables within values), by which
the same file would mean something else than to systemd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from sandbox.settings import Settings, parse, variables
from sandbox.settings.variable import SettingError

_NOTHING = re.compile(r"[ \t]*(?:[#;][^\n\r]*)?(?:[\n\r]|\Z)")
_ASSIGNMENT = re.compile(
    r"""
    [ \t]* (?P<name>[A-Za-z_][A-Za-z0-9_]*) [ \t]* = [ \t]*
    (?: '(?P<single>[^'\0]*)' [ \t]*
      | "(?P<double>(?:\\[^\0]|[^"\\\0])*)" [ \t]*
      | (?P<plain>(?:[^ \t\n\r'"\\\0]|\\[^\0]) (?:\\[^\0]|[^\\\n\r\0])*)
    )?
    (?:[\n\r]|\Z)
    """,
    re.VERBOSE,
)


@attrs.frozen
class Assignment:
    """Assignment of a variable in a file.

    :ivar line: its first line, from 1.
    """

    value: str = attrs.field(repr=False)
    line: int


def read_env_file(text: str) -> dict[str, Assignment]:
    r"""Parse the variables of a file; the last assignment of a name counts.

    Values are equal to systemd's. Lines that systemd ignores or joins (no ``=``, unterminated quotes, text after a
    quote) are errors, since each would silently lose a setting.

    >>> found = read_env_file('# comment\nA=b c # no comment\nB = "d\\"e" \n\nC=f\\\ng')
    >>> {name: (each.value, each.line) for name, each in found.items()}
    {'A': ('b c # no comment', 2), 'B': ('d"e', 3), 'C': ('fg', 5)}

    :raises ValueError: with the number of the wrong line, without its content.
    """
    found: dict[str, Assignment] = {}
    position = 0
    while position < len(text):
        if (nothing := _NOTHING.match(text, position)) is not None:
            position = nothing.end()
            continue
        line = text.count("\n", 0, position) + 1
        assignment = _ASSIGNMENT.match(text, position)
        if assignment is None:
            raise ValueError(f"line {line} is not NAME=VALUE, or a quote in it does not end")
        found[assignment["name"]] = Assignment(_value(assignment), line)
        position = assignment.end()
    return found


def _value(assignment: re.Match[str]) -> str:
    if (double := assignment["double"]) is not None:
        # Within double quotes a backslash is literal, except before characters special to a shell.
        return re.sub(r'\\(?:([\\"`$])|\n)', r"\1", double)
    return assignment["single"] or _unescape(assignment["plain"] or "")


def _unescape(text: str) -> str:
    parts: list[str] = re.findall(r"\\[^\0]|[^\\]", text)
    while parts and parts[-1] in (" ", "\t"):
        parts.pop()
    return "".join(part[1:].strip("\n\r") if part[0] == "\\" else part for part in parts)


def parse_with_file(environment: Mapping[str, str], name: str, file: Mapping[str, Assignment]) -> Settings:
    """Parse settings from an environment and a file that overrides it.

    :param name: name of the file in errors.
    :raises SettingError: with the file and line where the error is in the file.
    """
    for variable in variables():
        given = file.get(variable.name)
        if given is not None and given.value:
            try:
                variable.read({variable.name: given.value})
            except SettingError as error:
                raise SettingError(f"{name}: line {given.line}: {error}") from None
    try:
        return parse({**environment, **{key: each.value for key, each in file.items()}})
    except SettingError as error:
        raise SettingError(f"{name}: {error}") from None
