"""``{commands}``: the `sandbox` command, as click knows it."""

from __future__ import annotations

import inspect

import click
from pages import Generated, table
from sphinx.application import Sphinx

from sandbox.cli.main import cli


class Commands(Generated):
    """A heading a command."""

    def lines(self) -> list[str]:
        """Usage, help and options of each command."""
        return _describe(click.Context(cli, info_name="sandbox"), options_everywhere={"json", "help"})


def _describe(context: click.Context, *, options_everywhere: set[str]) -> list[str]:
    command = context.command
    top = context.parent is None
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"## `{context.command_path}`", ""]
    lines += ["```text", " ".join(usage.split()), "```", "", *_paragraphs(command)]
    shown = [each.get_help_record(context) for each in command.params if top or each.name not in options_everywhere]
    if records := [each for each in shown if each and each[1]]:
        lines += table(("option", "meaning"), [(f"`{name}`", _inline(text)) for name, text in records])
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            if not found.hidden:
                lines += _describe(
                    click.Context(found, info_name=name, parent=context), options_everywhere=options_everywhere
                )
    return lines


def _paragraphs(command: click.Command) -> list[str]:
    """The help text. What follows ``\\b`` is laid out by hand, up to the next empty line."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += ["```text", paragraph[2:], "```", ""]
        else:
            lines += [_inline(" ".join(paragraph.split())), ""]
    return "\n".join(lines).split("\n")


def _inline(text: str) -> str:
    # Click's help is plain text; Markdown would take these for its own.
    return text.replace("<", "\\<").replace("*", "\\*").replace("[", "\\[").replace("--", "\\-\\-")


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
