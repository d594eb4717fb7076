"""``cp``: copies text files and trees into a session's workspace or out of it."""

from __future__ import annotations

import codecs
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import click

from sandbox.cli.addresses import SESSION_ID, Address, parse_address
from sandbox.cli.application import Application, Group, pass_application
from sandbox.cli.failures import Failure, failure_of
from sandbox.cli.texts import visible
from sandbox.client import EntryType
from sandbox.client.errors import FileError

_PIECE = 1 << 20
STANDARD = "-"


class Location(click.ParamType[str]):
    """``ID:PATH``, a local path, or ``-``, with completion of ids and files."""

    name = "PATH"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Complete sessions here, and local files by the shell."""
        files = click.Path().shell_complete(ctx, param, incomplete)
        return [*SESSION_ID.shell_complete(ctx, param, incomplete), *files]


@attrs.frozen
class Copy:
    """One file to copy.

    :ivar size: bytes, for the progress bar.
    """

    local: Path
    remote: Address
    size: int


@attrs.frozen
class Directory:
    """A directory to copy, on either side."""

    local: Path
    remote: Address


@click.command(cls=Group.command_class)
@click.argument("source", metavar="SRC", type=Location())
@click.argument("target", metavar="DEST", type=Location())
@click.option("-r", "--recursive", is_flag=True, help="Copy directories recursively.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    help="Maximum number of entries of a tree for -r; of a larger tree nothing is copied.",
)
@pass_application
def cp(application: Application, *, source: str, target: str, recursive: bool, limit: int) -> None:
    """Copy UTF-8 text files into a session or out of it: one of SRC and DEST is ID:PATH, the other a local path.

    As with cp(1), a file is copied into a DEST that is a directory or ends with a slash. "-" is standard input or
    output. All files are validated as UTF-8 before the first one is sent into a session. Symbolic links, empty
    directories and modes are not copied.
    """
    there, here = parse_address(target), parse_address(source)
    if (there is None) == (here is None):
        raise click.UsageError(
            "exactly one of SRC and DEST must be ID:PATH (write ./a:b for a local file of such a name)"
        )
    copied: list[Copy] | None
    if there is not None:
        copied = _upload(application, source, there, limit if recursive else None)
    else:
        assert here is not None
        copied = _download(application, here, target, limit if recursive else None)
    if copied is not None:
        application.show({"files": len(copied), "bytes": sum(one.size for one in copied)})


def _tree(top: Directory, entries: Callable[[Directory], Iterator[Copy | Directory | None]], limit: int) -> list[Copy]:
    """Collect the files of a tree, a directory before its subdirectories. Its depth and width may be hostile.

    :param entries: yields a directory's files and directories; ``None`` for any other entry.
    :raises Failure: when the tree has more than ``limit`` entries.
    """
    copies: list[Copy] = []
    waiting, seen = [top], 0
    while waiting:
        found = []
        for entry in entries(waiting.pop()):
            seen += 1
            if seen > limit:
                hint = "Nothing was copied. --limit allows more."
                raise Failure(f"{top.local} and {top.remote}: the tree has more than {limit} entries", hint)
            if entry is not None:
                found.append(entry)
        found.sort(key=lambda entry: entry.remote.path)
        copies += [entry for entry in found if isinstance(entry, Copy)]
        waiting += [entry for entry in reversed(found) if isinstance(entry, Directory)]
    return copies


# -- into a session ----------------------------------------------------------------------------------------------------


def _upload(application: Application, source: str, target: Address, limit: int | None) -> list[Copy]:
    client = application.client
    if source == STANDARD:
        if _is_directory(application, target):
            raise Failure(f"{target} is a directory: name the file that standard input becomes")
        content = _text(sys.stdin.buffer.read(), "standard input")
        size = client.write_file(target.session_id, target.path, content).size
        return [Copy(Path(STANDARD), target, size)]
    path = Path(source)
    if not path.exists():
        raise Failure(f"{source}: no such file or directory")
    if path.is_dir() and limit is None:
        raise Failure(f"{source} is a directory", "-r copies it with all that is below.")
    if _is_directory(application, target):
        target = target.below(path.resolve().name)
    if path.is_dir() and limit is not None:
        copies = _tree(Directory(path, target), functools.partial(_local_entries, application), limit)
    else:
        copies = [_copy_of(path, target)]
    for copy in copies:
        _check(copy.local)
    with application.progress(f"Copying to {target.session_id}", sum(copy.size for copy in copies)) as advance:
        for copy in copies:
            content = _text(copy.local.read_bytes(), str(copy.local))
            client.write_file(copy.remote.session_id, copy.remote.path, content)
            advance(copy.size)
    return copies


def _is_directory(application: Application, address: Address) -> bool:
    if address.path == "." or address.path.endswith("/"):
        return True
    found = application.client.stat(address.session_id, address.path)
    return found is not None and found.type is EntryType.DIRECTORY


def _copy_of(path: Path, remote: Address) -> Copy:
    if not path.is_file():
        raise Failure(f"{path} is not a regular file")
    return Copy(path, remote, path.stat().st_size)


def _local_entries(application: Application, directory: Directory) -> Iterator[Copy | Directory | None]:
    try:
        with os.scandir(directory.local) as entries:
            for entry in entries:
                path, remote = Path(entry), directory.remote.below(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    yield Directory(path, remote)
                elif entry.is_file(follow_symlinks=False):
                    yield Copy(path, remote, entry.stat(follow_symlinks=False).st_size)
                else:
                    application.note(f"Left out, being neither file nor directory: {visible(entry.path)}")
                    yield None
    except OSError as error:
        raise Failure(f"{error.filename or directory.local}: {error.strerror}", "Nothing was copied.") from error


def _check(path: Path) -> None:
    """Check that a file is text, without holding it in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_text(str(path)) from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "Nothing was copied.") from error


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_text(name) from None


def _not_text(name: str) -> Failure:
    hint = "The API carries text only. Nothing was copied."
    return Failure(f"{name} is not UTF-8 text", hint, code="NOT_UTF8")


# -- out of a session --------------------------------------------------------------------------------------------------


def _download(application: Application, source: Address, target: str, limit: int | None) -> list[Copy] | None:
    """Return the copied files; ``None`` when the file was written to standard output."""
    client = application.client
    if target == STANDARD:
        file = client.read_file(source.session_id, source.path)
        click.echo(file.content.encode("utf-8"), nl=False)
        return None
    found = client.stat(source.session_id, source.path)
    if found is None:
        raise Failure(f"{source}: no such file or directory", code="FILE_NOT_FOUND")
    local = Path(target)
    if local.is_dir() or target.endswith("/"):
        local /= Path(source.path).name or source.session_id
    if found.type is not EntryType.DIRECTORY:
        copies = [Copy(local, source, found.size)]
    elif limit is not None:
        copies = _tree(Directory(local, source), functools.partial(_remote_entries, application), limit)
    else:
        raise Failure(f"{source} is a directory", "-r copies it with all that is below.")
    copied, failures = [], []
    with application.progress(f"Copying from {source.session_id}", sum(copy.size for copy in copies)) as advance:
        for copy in copies:
            try:
                content = client.read_file(copy.remote.session_id, copy.remote.path).content
            except FileError as error:
                # A file that is not text does not prevent copying the others.
                failures.append(failure_of(error, prefix=f"{copy.remote}: "))
                continue
            _write(copy.local, content.encode("utf-8"))
            copied.append(copy)
            advance(copy.size)
    for failure in failures[:-1]:
        failure.as_json = application.as_json
        failure.show()
    if failures:
        raise failures[-1]
    return copied


def _remote_entries(application: Application, directory: Directory) -> Iterator[Copy | Directory | None]:
    source = directory.remote
    for entry in application.client.list_directory(source.session_id, source.path):
        if entry.name in ("", ".", "..") or "/" in entry.name or "\0" in entry.name:
            raise Failure(f"{source} has an entry that no directory can have: {entry.name!r}", "Nothing was copied.")
        remote, path = source.below(entry.name), directory.local / entry.name
        if entry.type is EntryType.DIRECTORY:
            yield Directory(path, remote)
        elif entry.type is EntryType.FILE:
            yield Copy(path, remote, entry.size)
        else:
            application.note(f"Left out, being neither file nor directory: {visible(str(remote))}")
            yield None


def _make_directory(path: Path) -> None:
    """Create a directory with its parents. Pathlib's method recurses, while the session controls the depth."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
    try:
        _make_directory(path.parent)
        part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
