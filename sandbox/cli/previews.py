"""``preview add``, ``open``, ``link``, ``revoke`` and ``health``."""

from __future__ import annotations

import time
import webbrowser

import click

from sandbox.cli.addresses import SESSION_ID
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import Failure
from sandbox.cli.texts import moment
from sandbox.client import Health
from sandbox.client.errors import SessionNotFound

#: Seconds between two polls of an application.
_INTERVAL = 0.5


@click.group(cls=Group)
def preview() -> None:
    """Register, open and check the web application in a session."""


@preview.command()
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@click.argument("port", metavar="PORT", type=click.IntRange(1024, 65535))
@click.option(
    "--access",
    type=click.Choice(["public", "owner", "link"]),
    help="Who may open it: everyone, the session's owner, or also bearers of a link. Default: the daemon's.",
)
@click.option("--keep-prefix", is_flag=True, help="Keep /previews/ID in the paths that the application receives.")
@click.option(
    "--host",
    type=click.Choice(["auto", "public", "local"]),
    help="Which Host the application receives: the browser's, localhost:PORT, or the one that it accepts.",
)
@click.option("--preserve-host", "host", flag_value="public", hidden=True, help="The older name of --host public.")
@pass_application
def add(
    application: Application, *, session_id: str, port: int, access: str | None, keep_prefix: bool, host: str | None
) -> None:
    """Register the port on which the application listens; print the preview's URLs, the one on its own host first."""
    made = application.client.register_preview(
        session_id,
        port,
        access=access,
        strip_prefix=False if keep_prefix else None,
        host=host,
    )
    application.show(made, "\n".join(dict.fromkeys(url for url in (made.host_url, made.url) if url)))


def _ttl(value: str) -> int:
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, factor = (value[:-1], unit[value[-1]]) if value[-1:] in unit else (value, 1)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) * factor <= 86_400):
        raise click.BadParameter(f"{value!r} is not 1 to 86400 seconds, such as 90, 15m, 12h or 1d")
    return int(number) * factor


_ttl_option = click.option(
    "--ttl",
    metavar="TIME",
    type=_ttl,
    default="1h",
    show_default=True,
    help="The link's lifetime: 90, 15m, 12h, 1d.",
)


@preview.command("open")
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@_ttl_option
@click.option("--user", metavar="USER", help="The user forwarded to the application.  [default: the session's own]")
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
@pass_application
def open_(application: Application, session_id: str, ttl: int, user: str | None, no_browser: bool) -> None:
    """Open the preview in a browser through a link for the session's own user, which is valid for every access; print
    its URL."""
    health = application.client.preview_health(session_id)
    user = user or _owner(application, session_id)
    made = application.client.create_link(session_id, ttl_seconds=ttl, user_id=user)
    url = made.host_url or made.url
    if url is None:
        raise Failure("The daemon gave the preview no URL")
    application.show(made, url)
    if not health.healthy:
        application.note(f"The application on port {health.port} does not answer: {health.error}")
    if not no_browser and not webbrowser.open(url):
        application.note("No browser could be started: open the URL yourself.")


def _owner(application: Application, session_id: str) -> str | None:
    """The session's own user; ``None`` for a container created by another program."""
    try:
        return application.client.get_session(session_id).user_id
    except SessionNotFound:
        return None


@preview.command()
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@_ttl_option
@click.option(
    "--user", metavar="USER", help="The user forwarded to the application; for --access owner, the session's own."
)
@pass_application
def link(application: Application, session_id: str, ttl: int, user: str | None) -> None:
    """Create a URL that opens the preview for any bearer, and print it; the link's id goes to the error stream."""
    made = application.client.create_link(session_id, ttl_seconds=ttl, user_id=user)
    application.show(made, made.host_url or made.url)
    application.note(f"Link {made.id} works until {moment(made.expires_at)}.")


@preview.command()
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@click.argument("link_id", metavar="LINK")
@pass_application
def revoke(application: Application, session_id: str, link_id: str) -> None:
    """Revoke a link, and close the connections it opened."""
    try:
        application.client.revoke_link(session_id, link_id)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    application.show({"id": link_id, "revoked": True})


@preview.command()
@click.argument("session_id", metavar="ID", type=SESSION_ID)
@click.option(
    "--wait", metavar="SECONDS", type=click.FloatRange(0, 3600), default=0, help="Wait up to SECONDS until it responds."
)
@pass_application
def health(application: Application, session_id: str, wait: float) -> None:
    """Check whether the application responds; exit 1 when it does not."""
    end = time.monotonic() + wait
    found = application.client.preview_health(session_id)
    with application.busy(f"Waiting for port {found.port}"):
        while not found.healthy and time.monotonic() < end:
            time.sleep(min(_INTERVAL, max(0.0, end - time.monotonic())))  # noqa: TID251 - no reactor runs here
            found = application.client.preview_health(session_id)
    application.show(found, _words(found))
    if not found.healthy:
        raise click.exceptions.Exit(1)


def _words(found: Health) -> str:
    if found.healthy:
        return f"healthy: port {found.port} answers with HTTP {found.status_code}"
    return f"not healthy: port {found.port}: {found.error}"
