"""Commands on files of a session's workspace: list, stat and edit."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import click

from sandbox.cli.addresses import FILE_ADDRESS, Address
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import Failure
from sandbox.cli.texts import columns, moment, pairs, visible
from sandbox.client import EntryType
from sandbox.client.errors import ClientError, FileNotFound

_LETTERS = {EntryType.FILE: "-", EntryType.DIRECTORY: "d", EntryType.SYMLINK: "l", EntryType.OTHER: "?"}


def list_files(application: Application, address: Address, quiet: bool) -> None:
    """Print a directory's entries."""
    entries = application.client.list_directory(address.session_id, address.path)
    if quiet:
        application.show([one.name for one in entries], "\n".join(visible(one.name) for one in entries))
        return
    rows = [
        [_LETTERS[one.type], str(one.size), moment(one.modified_at), one.name + "/" * (one.type is EntryType.DIRECTORY)]
        for one in entries
    ]
    application.show(entries, columns(rows, ["T", "SIZE", "MODIFIED", "NAME"]))


def stat_file(application: Application, address: Address) -> None:
    """Print a path's metadata.

    :raises Failure: when it does not exist.
    """
    found = application.client.stat(address.session_id, address.path)
    if found is None:
        raise Failure(f"{address}: no such file or directory", code="FILE_NOT_FOUND")
    fields = {
        "path": address.path,
        "type": found.type.value,
        "size": str(found.size),
        "modified": moment(found.modified_at),
    }
    application.show(found, pairs(fields))


@click.command(cls=Group.command_class)
@click.argument("address", metavar="ID:PATH", type=FILE_ADDRESS)
@pass_application
def edit(application: Application, address: Address) -> None:
    """Edit a text file in $VISUAL or $EDITOR, and write it back when it was changed.

    A file that changed meanwhile in the session is not overwritten, and your text is kept locally. A missing file is
    created unless your text is empty.
    """
    client = application.client
    before = _content(application, address)
    directory = Path(tempfile.mkdtemp(prefix="sandbox-"))
    # Keep the name: editors detect the language by it.
    copy = directory / (Path(address.path).name.replace("\0", "") or "file")
    copy.write_bytes((before or "").encode("utf-8"))
    kept = f"What you wrote is in {copy}"
    _run_editor(application, copy)
    try:
        after = copy.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{copy} cannot be read as UTF-8 text: {error}", "Nothing was written to the session.") from error
    if after == (before or ""):
        application.show({"path": address.path, "changed": False})
        application.note("Not changed.")
    else:
        try:
            if _content(application, address) != before:
                raise Failure(f"{address} was changed meanwhile in the session", kept)
            written = client.write_file(address.session_id, address.path, after)
        except ClientError as error:
            application.note(kept)
            raise error
        application.show({"path": address.path, "changed": True, "size": written.size})
    copy.unlink()
    directory.rmdir()


def _content(application: Application, address: Address) -> str | None:
    try:
        return application.client.read_file(address.session_id, address.path).content
    except FileNotFound:
        return None


def _run_editor(application: Application, path: Path) -> None:
    environment = application.environment
    editor = environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), os.fspath(path)], check=False).returncode  # noqa: S603 - the user's own
    except (OSError, ValueError) as error:
        raise Failure(
            f"The editor {editor!r} cannot be run: {error}", "EDITOR names one, with its arguments."
        ) from error
    if status != 0:
        raise Failure(f"The editor ended with status {status}: nothing was written", f"What you wrote is in {path}")
