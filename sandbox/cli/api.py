"""``api``: the description of the internal API, which browsers cannot fetch without the key."""

from __future__ import annotations

import json
import os
import webbrowser
from collections.abc import Mapping
from pathlib import Path

import click

from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import Failure


@click.command(cls=Group.command_class)
@click.option("--page", is_flag=True, help="Print an HTML page instead of the OpenAPI document.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to FILE instead of standard output.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@pass_application
def api(application: Application, page: bool, output: Path | None, show: bool) -> None:
    """Print the description of the daemon's API: an OpenAPI 3.1 document, or an HTML page made from it."""
    if page or show:
        text = application.client.api_page()
    else:
        text = json.dumps(application.client.api_description(), indent=2, ensure_ascii=False) + "\n"
    if show and output is None:
        output = _place(application.environment)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, "utf-8")
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error
    application.show({"path": str(output)}, str(output))
    if show and not webbrowser.open(output.absolute().as_uri()):
        application.note("No browser could be started: open the file yourself.")


def _place(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME") or "/", ".cache")
    return Path(base, "sandbox", "api.html")
