"""Files of variables, read as systemd reads an ``EnvironmentFile=`` (systemd.exec(5)). Pure: the text is passed in.

Libraries that read ``.env`` files have rules of their own: ``export``, comments behind values, variables within values.
What systemd has read must not mean something else here.
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
    """What a file gives a variable.

    :ivar line: where it begins, from 1.
    """

    value: str = attrs.field(repr=False)
    line: int


def read_env_file(text: str) -> dict[str, Assignment]:
    r"""The variables of a file; the last one of a name counts.

    What it gives is what systemd gives. Lines that systemd ignores or joins (no ``=``, quotes without an end, more
    behind a quote) are errors: each would be a setting that does not come true.

    >>> found = read_env_file('# comment\nA=b c # no comment\nB = "d\\"e" \n\nC=f\\\ng')
    >>> {name: (each.value, each.line) for name, each in found.items()}
    {'A': ('b c # no comment', 2), 'B': ('d"e', 3), 'C': ('fg', 5)}

    :raises ValueError: naming the line that is wrong, and nothing of its content.
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
        # There a backslash is one unless it stands before what a shell would heed.
        return re.sub(r'\\(?:([\\"`$])|\n)', r"\1", double)
    return assignment["single"] or _unescape(assignment["plain"] or "")


def _unescape(text: str) -> str:
    parts: list[str] = re.findall(r"\\[^\0]|[^\\]", text)
    while parts and parts[-1] in (" ", "\t"):
        parts.pop()
    return "".join(part[1:].strip("\n\r") if part[0] == "\\" else part for part in parts)


def parse_with_file(environment: Mapping[str, str], name: str, file: Mapping[str, Assignment]) -> Settings:
    """Settings from an environment and a file that overrides it.

    :param name: what the file is called in errors.
    :raises SettingError: naming the file and the line where the file is to blame.
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
