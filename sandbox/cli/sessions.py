"""``up``, ``ls``, ``stat``, ``start``, ``stop`` and ``rm``."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from sandbox.cli.addresses import PLACE, SESSION_ID, Address
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import Failure, failure_of
from sandbox.cli.files import list_files, stat_file
from sandbox.cli.texts import columns, moment, pairs
from sandbox.client import ApiError, Session, SessionStatus
from sandbox.client.errors import SessionExists, SessionNotFound


def variables(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Mapping[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", context, parameter)
    return dict(value.split("=", 1) for value in values)


def add_session_commands(group: Group) -> None:
    """Add the commands on sessions."""
    for command in (up, ls, stat, start, stop, rm):
        group.add_command(command)


def _user(application: Application) -> str:
    if application.configuration.user:
        return application.configuration.user
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A number without a name, as in many containers.
        raise Failure(
            "Whose session shall it be? You have no login name here.", "--user or SANDBOX_USER says."
        ) from None


@click.command(cls=Group.command_class)
@click.argument("session_id", metavar="[ID]", type=SESSION_ID, required=False)
@click.option("--user", metavar="USER", help="Whose it is. Default: SANDBOX_USER, user in the file, your login name.")
@click.option("--image", metavar="IMAGE", help="The engine's image to make it from. Default: the daemon's.")
@click.option("-e", "--env", metavar="NAME=VALUE", multiple=True, callback=variables, help="A variable; repeatable.")
@click.option("--memory", metavar="MIB", type=click.IntRange(min=1), help="Memory limit in MiB.")
@click.option("--cpus", metavar="N", type=click.FloatRange(min=0, min_open=True), help="CPU limit in cores.")
@pass_application
def up(
    application: Application,
    *,
    session_id: str | None,
    user: str | None,
    image: str | None,
    env: Mapping[str, str],
    memory: int | None,
    cpus: float | None,
) -> None:
    """Start a session, or create it when it does not exist, and print its id.

    Without ID a new session is made, and the daemon names it.
    """
    client = application.client

    def existing() -> Session | None:
        if session_id is None:
            return None
        try:
            return client.start_session(session_id)
        except SessionNotFound:
            return None

    with application.busy(f"Starting {session_id or 'a session'}"):
        session = existing()
        if session is None:
            try:
                session = client.create_session(
                    user or _user(application), id=session_id, image=image, env=env or None, memory_mb=memory, cpus=cpus
                )
            except SessionExists:
                # Another client was quicker; or the container is another program's, and then this raises that.
                session = existing()
                if session is None:
                    raise
        elif user or image or env or memory or cpus:
            application.note(f"{session.id} was there already: its image, variables and limits stay as they are.")
    application.show(session, session.id)


@click.command(cls=Group.command_class)
@click.argument("place", metavar="[ID[:PATH]]", type=PLACE, required=False)
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--status", type=click.Choice([status.value for status in SessionStatus]), help="Only such sessions.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids, or names, only.")
@pass_application
def ls(
    application: Application, place: Address | str | None, user: str | None, status: str | None, quiet: bool
) -> None:
    """List sessions, newest first; or a directory of a session's workspace: ls ID, ls ID:PATH."""
    if place is not None:
        if user or status:
            raise click.UsageError("--user and --status choose sessions, not files")
        address = place if isinstance(place, Address) else Address(place, ".")
        list_files(application, address, quiet)
        return
    sessions = list(application.client.iterate_sessions(user_id=user, status=status))
    if quiet:
        application.show([one.id for one in sessions], "\n".join(one.id for one in sessions))
        return
    rows = [[one.id, one.user_id, one.status.value, one.image, moment(one.created_at)] for one in sessions]
    application.show(sessions, columns(rows, ["ID", "USER", "STATUS", "IMAGE", "CREATED"]))


@click.command(cls=Group.command_class)
@click.argument("place", metavar="ID[:PATH]", type=PLACE)
@pass_application
def stat(application: Application, place: Address | str) -> None:
    """Show a session, or a file or directory of its workspace; exit 1 when there is none."""
    if isinstance(place, Address):
        stat_file(application, place)
        return
    session = application.client.get_session(place)
    fields = {
        "id": session.id,
        "user": session.user_id,
        "status": session.status.value,
        "image": session.image,
        "container": session.container_id,
        "created": moment(session.created_at),
        "updated": moment(session.updated_at),
    }
    application.show(session, pairs(fields))


def _each(application: Application, doing: str, ids: Sequence[str], act: Callable[[str], Any]) -> None:
    """Do something to several sessions; a failure for one does not stop the others."""
    results, failures = [], []
    for session_id in ids:
        try:
            with application.busy(f"{doing} {session_id}"):
                results.append(act(session_id))
        except ApiError as error:
            failures.append(failure_of(error))
        else:
            application.show(None, session_id) if not application.as_json else None
    if application.as_json:
        application.show(results)
    for failure in failures[:-1]:
        failure.as_json = application.as_json
        failure.show()
    if failures:
        raise failures[-1]


@click.command(cls=Group.command_class)
@click.argument("session_ids", metavar="ID...", type=SESSION_ID, nargs=-1, required=True)
@pass_application
def start(application: Application, session_ids: Sequence[str]) -> None:
    """Start sessions; one that runs is left as it is."""
    _each(application, "Starting", session_ids, application.client.start_session)


@click.command(cls=Group.command_class)
@click.argument("session_ids", metavar="ID...", type=SESSION_ID, nargs=-1, required=True)
@pass_application
def stop(application: Application, session_ids: Sequence[str]) -> None:
    """Stop sessions; their workspaces stay."""
    _each(application, "Stopping", session_ids, application.client.stop_session)


@click.command(cls=Group.command_class)
@click.argument("session_ids", metavar="ID...", type=SESSION_ID, nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Do not ask, even on a terminal.")
@pass_application
def rm(application: Application, session_ids: Sequence[str], force: bool) -> None:
    """Delete sessions with their containers and workspaces. On a terminal it asks first."""
    if not force and sys.stdin.isatty():
        names = ", ".join(session_ids)
        if not click.confirm(f"Delete {names} with all files in the workspace?", err=True):
            raise Failure("nothing was deleted")

    def delete(session_id: str) -> dict[str, Any]:
        application.client.delete_session(session_id)
        return {"id": session_id, "deleted": True}

    _each(application, "Deleting", session_ids, delete)
