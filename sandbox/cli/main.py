"""The ``sandbox`` console script, built with Click, which provides completion in all shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sandbox import __version__
from sandbox.cli.api import api
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.copying import cp
from sandbox.cli.doctor.command import doctor
from sandbox.cli.execution import execute
from sandbox.cli.files import edit
from sandbox.cli.previews import preview
from sandbox.cli.sessions import add_session_commands

_NAME, _COMPLETE = "sandbox", "_SANDBOX_COMPLETE"


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_NAME)
@click.option(
    "--json", "as_json", is_flag=True, help="Print results and errors as JSON; also accepted after a command."
)
@click.option("--url", metavar="URL", help="The daemon: http://HOST:PORT, https://HOST or unix:/PATH.")
@pass_application
def cli(application: Application, as_json: bool, url: str | None) -> None:
    """Sessions, commands, files and previews of a sandbox daemon.

    \b
    ID is a session; ID:PATH is a file or directory of its workspace.
    --url or SANDBOX_URL is the daemon's URL (default http://127.0.0.1:4002),
    INTERNAL_SERVICE_KEY its service key; both also in ~/.config/sandbox/config.toml:
        url = "https://sandbox.example.com"
        key = "…"
    """
    application.as_json |= as_json
    application.url = url


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a shell script that completes commands, options and session ids.

    \b
    bash: eval "$(sandbox completion bash)"     in ~/.bashrc
    zsh:  eval "$(sandbox completion zsh)"      in ~/.zshrc, below compinit
    fish: sandbox completion fish | source      in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, _NAME, _COMPLETE).source())


add_session_commands(cli)
for command in (execute, cp, edit, preview, api, doctor):
    cli.add_command(command)
cli.commands["completion"] = cli.commands.pop("completion")  # last in the list


def main() -> None:
    """Run the command line; its exit status is the process's."""
    cli.main(prog_name=_NAME, complete_var=_COMPLETE)
