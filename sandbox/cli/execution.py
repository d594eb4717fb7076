"""``exec``: runs a command, and passes on its exit code, stdout and stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from sandbox.cli.addresses import SESSION_ID
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import failure_of
from sandbox.cli.sessions import variables
from sandbox.client import ClientError, errors

#: Exit statuses, as used by timeout(1), env(1) and docker.
TIMED_OUT, FAILED, NOT_EXECUTABLE, NOT_FOUND = 124, 125, 126, 127


@click.command("exec", cls=Group.command_class, context_settings={"allow_interspersed_args": False})
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@click.argument("command", metavar="COMMAND [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-s", "--shell", is_flag=True, help="Join the words of COMMAND by spaces, and run it by /bin/sh -c.")
@click.option("-w", "--cwd", metavar="DIR", help="Working directory, relative to /workspace or absolute.")
@click.option(
    "-e", "--env", metavar="NAME=VALUE", multiple=True, callback=variables, help="Environment variable; repeatable."
)
@click.option(
    "-t",
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.001, 600),
    default=300,
    show_default=True,
    help="Seconds until the command and its descendants are killed.",
)
@pass_application
def execute(
    application: Application,
    *,
    session_id: str,
    command: Sequence[str],
    shell: bool,
    cwd: str | None,
    env: Mapping[str, str],
    timeout: float,
) -> None:
    """Run a command in a session. Options precede ID; "--" may precede COMMAND.

    Exits with the command's exit code; 124 on timeout, 125 when it cannot be run, 126 when it is not executable, 127
    when the program does not exist. An interrupt kills the command.
    """
    if command[0] == "--":
        command = command[1:]
    if not command:
        raise click.UsageError("COMMAND is missing")
    try:
        with application.busy("Running"):
            result = application.client.exec(
                session_id,
                " ".join(command) if shell else list(command),
                cwd=cwd,
                env=env or None,
                timeout_ms=round(timeout * 1000),
            )
    except ClientError as error:
        if isinstance(error, errors.ExecutionTimeout) and not application.as_json:
            _print(error.stdout, error.stderr)
        raise failure_of(error, exit_code=_status(error)) from error
    if application.as_json:
        application.show(result)
    else:
        _print(result.stdout, result.stderr)
        if result.truncated:
            application.note("sandbox: there was more output than the daemon keeps (EXEC_OUTPUT_LIMIT)")
        if result.oom_killed:
            application.note("sandbox: killed for lack of memory")
    raise click.exceptions.Exit(result.exit_code)


def _print(stdout: str, stderr: str) -> None:
    # As bytes, independent of this terminal's encoding.
    for text, err in ((stdout, False), (stderr, True)):
        click.echo(text.encode("utf-8", "surrogateescape"), nl=False, err=err)


def _status(error: ClientError) -> int:
    table = (
        (errors.ExecutionTimeout, TIMED_OUT),
        (errors.CommandNotExecutable, NOT_EXECUTABLE),
        (errors.CommandNotFound, NOT_FOUND),
    )
    return next((status for kind, status in table if isinstance(error, kind)), FAILED)
