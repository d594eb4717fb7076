"""Failures of commands: an error message, a hint, and an exit status."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from sandbox.cli.texts import visible
from sandbox.client import errors

_HINTS: tuple[tuple[type[errors.ClientError], str], ...] = (
    (errors.Unreachable, "Is the daemon running? `sandbox doctor` looks; SANDBOX_URL says where to find it."),
    (
        errors.Forbidden,
        "The key is not the daemon's: INTERNAL_SERVICE_KEY, or key in the configuration file, has to be.",
    ),
    (errors.BadAnswer, "Is SANDBOX_URL the daemon's internal API?"),
    (errors.AnswerTimeout, "What was asked for may have been done: look before you try again."),
    (errors.ConnectionLost, "What was asked for may have been done: look before you try again."),
    (errors.SessionNotFound, "`sandbox ls` lists the sessions; `sandbox up ID` makes one."),
    (errors.ContainerNotFound, "`sandbox ls` lists the sessions; `sandbox up ID` makes one."),
    (errors.ContainerNotRunning, "`sandbox start ID` starts it."),
    (errors.ImageUnknown, "The daemon pulls no images: pull, build or import it on the engine first."),
    (
        errors.PreviewNotRegistered,
        "`sandbox preview add ID PORT` registers the port; a restart of the daemon forgets it.",
    ),
    (errors.InvalidPath, "Paths are relative to /workspace: ID:src/app.py"),
    (errors.NotText, "The API carries UTF-8 text only; `sandbox exec ID base64 PATH` gets other bytes out."),
    (errors.BodyTooLarge, "BODY_LIMIT is the daemon's limit: 10 MiB unless it is configured."),
    (errors.EngineUnavailable, "`sandbox doctor`, on the daemon's machine, says what is wrong with the engine."),
    (errors.StoreUnavailable, "`sandbox doctor`, on the daemon's machine, says what is wrong with the database."),
)


class Failure(click.ClickException):
    """A command failed.

    :ivar hint: suggested remedy, or ``""``.
    :ivar details: code, status and further fields, for ``--json``.
    """

    as_json = False

    def __init__(self, message: str, hint: str = "", *, exit_code: int = 1, **details: Any) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code: int = exit_code  # type: ignore[misc]  # a class attribute in click
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on the error stream."""
        if self.as_json:
            known = {"message": self.message, "hint": self.hint or None, **self.details}
            click.echo(json.dumps({"error": known}), err=True)
            return
        click.echo(f"{click.style('sandbox:', fg='red', bold=True)} {visible(self.message)}", err=True)
        if self.hint:
            click.echo(self.hint, err=True)


def failure_of(error: errors.ClientError, *, exit_code: int = 1, prefix: str = "") -> Failure:
    """Convert a client's error to the failure of a command.

    :param prefix: prefix of the message.
    """
    hint = next((text for kind, text in _HINTS if isinstance(error, kind)), "")
    if not isinstance(error, errors.ApiError):
        return Failure(prefix + str(error), hint, exit_code=exit_code)
    details = {"code": error.code, "statusCode": error.status, **error.details}
    message = prefix + error.message
    if "incident" in error.details:
        message += f" (incident {error.details['incident']} in the daemon's log)"
    elif error.request_id is not None and error.status >= 500:
        message += f" (request {error.request_id} in the daemon's log)"
    return Failure(message, hint, exit_code=exit_code, **details)
