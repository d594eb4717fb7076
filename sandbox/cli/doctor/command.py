"""The command: runs the checks and prints their findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.texts import visible
from sandbox.client import ClientError, Configuration

if TYPE_CHECKING:
    from sandbox.cli.doctor.finding import Finding

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(cls=Group.command_class)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The daemon's variables, as in systemd's EnvironmentFile; default: those of this shell.",
)
@pass_application
def doctor(application: Application, env_file: Path | None) -> None:
    """Check that this machine can run the daemon, and suggest fixes.

    Checks settings, key, engine, network, image, store, permissions, port, versions and the daemon itself, with the
    daemon's own variables. Works while the daemon is down. Exits 1 when a check failed.
    """
    findings = []
    for finding in _examine(application, env_file):
        findings.append(finding)
        if not application.as_json:
            _print(finding)
    bad = sum(finding.level.value == "failed" for finding in findings)
    doubtful = sum(finding.level.value == "warning" for finding in findings)
    summary = "No problems found." if not bad + doubtful else f"{bad} failed, {doubtful} warnings."
    application.show({"healthy": not bad, "findings": findings}, summary)
    if bad:
        raise click.exceptions.Exit(1)


def _print(finding: Finding) -> None:
    level = finding.level.value
    click.echo(
        f"{click.style(level.ljust(7), fg=_COLORS[level])}  {finding.check.ljust(11)}  {visible(finding.message)}"
    )
    if finding.fix is not None:
        click.echo(f"{'':22}{click.style('fix:', bold=True)} {visible(finding.fix)}")


def _examine(application: Application, env_file: Path | None) -> Iterator[Finding]:
    # Imported here because they import Twisted, docker-py and psycopg2: other commands start faster without.
    from sandbox.cli.doctor import engine, environment, machine  # noqa: PLC0415
    from sandbox.cli.doctor.finding import Patient, failed  # noqa: PLC0415
    from sandbox.settings.unknown import unknown_in_environment, unknown_in_file  # noqa: PLC0415

    try:
        configuration = application.configuration
    except ClientError as error:
        yield failed("settings", str(error), "Correct the configuration file.")
        configuration = Configuration()
        if application.environment.get("INTERNAL_SERVICE_KEY"):
            configuration = attrs.evolve(configuration, key=application.environment["INTERNAL_SERVICE_KEY"])
    file = {}
    if env_file is not None:
        try:
            file = environment.read_environment_file(env_file)
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{os.fspath(env_file)}: {error}") from error
    beside = {name: value for name, value in application.environment.items() if name not in file}
    unknown = [*unknown_in_file(file, str(env_file)), *unknown_in_environment(beside)]
    variables = {**beside, **{name: each.value for name, each in file.items()}}
    settings, mistakes = environment.settings_of(variables, configuration.key)
    patient = Patient(
        environment=variables,
        settings=settings,
        url=configuration.url,
        key=configuration.key or variables.get("INTERNAL_SERVICE_KEY"),
    )
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("versions", lambda: machine.check_versions(patient)),
        ("settings", lambda: environment.check_settings(mistakes, unknown)),
        ("key", lambda: environment.check_key(variables, settings, configuration.key)),
        ("permissions", lambda: machine.check_permissions(patient, env_file)),
        ("engine", lambda: engine.check_engine(patient)),
        ("store", lambda: machine.check_store(patient)),
        ("port", lambda: machine.check_port(patient)),
        ("daemon", lambda: machine.check_daemon(patient)),
    )
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            # An error in one check must not stop the others.
            yield failed(name, f"the check itself failed: {type(error).__name__}: {error}", "Please report this.")
