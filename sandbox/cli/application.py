"""State shared by all commands: configuration, client and output."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import click

from sandbox.cli.failures import Failure, failure_of
from sandbox.cli.texts import jsonable
from sandbox.client import Client, ClientError, Configuration, load_configuration

#: Advances a progress bar.
Advance = Callable[[int], None]


@attrs.define(slots=False)
class Application:
    """One invocation of the command.

    :ivar environment: the process's environment.
    :ivar as_json: whether results and errors are printed as JSON.
    :ivar url: ``--url``, which overrides environment and file.
    """

    environment: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    as_json: bool = False
    url: str | None = None

    @functools.cached_property
    def configuration(self) -> Configuration:
        """The client's configuration, read once.

        :raises ConfigurationError: when the file is invalid.
        """
        found = load_configuration(self.environment)
        return found if self.url is None else attrs.evolve(found, url=self.url)

    @functools.cached_property
    def client(self) -> Client:
        """The client, created once."""
        return self.configuration.client()

    def show(self, value: Any, text: str | None = None) -> None:
        """Print a result: with ``--json`` the value as JSON, otherwise its text, if any."""
        if self.as_json:
            click.echo(json.dumps(jsonable(value)))
        elif text:
            click.echo(text)

    def note(self, text: str) -> None:
        """Print a message on the error stream."""
        if not self.as_json:
            click.echo(text, err=True)

    @property
    def lively(self) -> bool:
        """Whether to show progress: only when the error stream is a terminal."""
        return not self.as_json and sys.stderr.isatty()

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Show a spinner."""
        if not self.lively:
            yield
            return
        from rich.console import Console  # noqa: PLC0415 - slow to import, and rarely needed

        with Console(stderr=True).status(doing):
            yield

    @contextmanager
    def progress(self, doing: str, total: int) -> Iterator[Advance]:
        """Show a progress bar over a number of bytes."""
        if not self.lively:
            yield lambda done: None
            return
        from rich import progress  # noqa: PLC0415 - slow to import, and rarely needed
        from rich.console import Console  # noqa: PLC0415

        bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        with bar:
            task = bar.add_task(doing, total=total)
            yield lambda done: bar.advance(task, done)


pass_application = click.make_pass_decorator(Application, ensure=True)


def _set_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Application).as_json = True


class Command(click.Command):
    """A command with the common option ``--json``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_set_json,
                help="Print results and errors as JSON.",
            )
        )


class Group(click.Group):
    """A group of such commands, listed in the order of addition, which converts client errors to failures."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of addition."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a client's error becomes a :class:`Failure`."""
        try:
            return super().invoke(ctx)
        except ClientError as error:
            failure = failure_of(error)
        except Failure as error:
            failure = error
        except KeyboardInterrupt:
            # A shell's status for SIGINT. The lost connection also cancels the call in the daemon.
            failure = Failure("interrupted", exit_code=130)
        failure.as_json = ctx.ensure_object(Application).as_json
        raise failure
