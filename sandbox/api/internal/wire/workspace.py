"""Commands and files on the wire (contract sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

from sandbox.api.framework.messages import Message, either, member
from sandbox.api.framework.schemas import ITEM_LIMIT, NO_NUL, PATH_FORMAT
from sandbox.api.internal.wire.parameters import ENV, FLAG, MOMENT, SIZE, TEXT, WORKSPACE_PATH
from sandbox.domain import model
from sandbox.domain.errors import InvalidRequest
from sandbox.domain.model import EntryType, ExecSpec, FileContent, iso_ns
from sandbox.operations.execution import SHELL
from sandbox.policy.commands import checked_arguments, checked_environment, encoded
from sandbox.policy.paths import display_name, workspace_path

_MODIFIED = "2026-01-25T12:00:00.123456Z"
_KIND = {"type": "string", "enum": [kind.value for kind in EntryType]}
_ENTRY = {"name": "app.py", "type": "file", "size": 15, "modifiedAt": _MODIFIED}
_COMMAND_MESSAGE = "Request body field 'command' must be a string or a non-empty array of strings, without NUL bytes"


def _utf8(content: str) -> bytes:
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest("Request body field 'content' holds half of a surrogate pair") from None


class Command(
    Message,
    title="Command",
    closed=True,
    example={"command": "echo hello; exit 3", "cwd": ".", "env": {"LANG": "C.UTF-8"}, "timeoutMs": 10_000},
):
    """A command to run."""

    command: str | list[str] = member(
        {
            "description": "A string is run by `/bin/sh -c`, an array as it is. Each argument is under 128 KiB.",
            "oneOf": [
                {**NO_NUL, "minLength": 1},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": ITEM_LIMIT,
                    "items": NO_NUL,
                    "prefixItems": [{**NO_NUL, "minLength": 1}],
                },
            ],
            "x-message": _COMMAND_MESSAGE,
        }
    )
    cwd: str = member(
        {
            **NO_NUL,
            "minLength": 1,
            "format": "working-directory",
            "description": "Relative to `/workspace`, by the rules of paths there, or absolute.",
            "default": ".",
        }
    )
    env: Mapping[str, str] = member(ENV, default={})
    timeout_ms: int = member(
        {
            "type": "integer",
            "minimum": 1,
            "maximum": 600_000,
            "default": 300_000,
            "description": "Milliseconds until the command and all it started are killed.",
        }
    )

    def spec(self, output_limit: int) -> ExecSpec:
        """The command that is asked for.

        :raises InvalidRequest: for what no kernel would take.
        :raises InvalidPath: for a relative ``cwd`` that the rules of section 3 refuse.
        """
        shell, words = (SHELL, [self.command]) if isinstance(self.command, str) else ([], self.command)
        return ExecSpec(
            argv=shell + checked_arguments(words),
            # An absolute path is the command's own business; a relative one follows the rules of section 3.
            cwd=encoded("cwd", self.cwd) if self.cwd.startswith("/") else workspace_path(self.cwd),
            env=checked_environment(self.env),
            timeout_ms=self.timeout_ms,
            output_limit=output_limit,
        )


class ExecResult(
    Message,
    title="ExecResult",
    example={"exitCode": 3, "stdout": "hello\n", "stderr": "", "durationMs": 12, "truncated": False},
):
    """What a command did; its output becomes text while it is written."""

    exit_code: int = member({"type": "integer", "description": "128 + *n* when signal *n* ended the command."})
    stdout: bytes = member({**TEXT, "description": "U+FFFD stands for what is not UTF-8."})
    stderr: bytes = member(TEXT)
    duration_ms: int = member({"type": "integer", "minimum": 0})
    truncated: bool = member(
        {
            **FLAG,
            "description": "Whether a stream had more than `EXEC_OUTPUT_LIMIT` bytes; the rest was dropped.",
        }
    )
    signal: str | None = member({**TEXT, "description": "The signal that ended the command."}, default=None)
    code: str | None = member(
        {"const": "OOM_KILLED", "description": "The kernel killed it for lack of memory."}, default=None
    )

    @classmethod
    def of(cls, result: model.ExecResult) -> Self:
        """A result of the domain's."""
        return cls(
            exit_code=result.exit_code,
            stdout=result.stdout,
            stderr=result.stderr,
            duration_ms=result.duration_ms,
            truncated=result.truncated,
            signal=result.signal,
            code="OOM_KILLED" if result.oom_killed else None,
        )


class NewFile(Message, title="NewFile", closed=True, example={"path": "src/app.py", "content": "print('hello')\n"}):
    """A file to write."""

    path: str = member({**TEXT, "format": PATH_FORMAT, "description": WORKSPACE_PATH["description"]})
    content: bytes = member({**TEXT, "description": "The file's whole text."}, decode=_utf8)


class File(
    Message,
    title="File",
    example={"path": "src/app.py", "content": "print('hello')\n", "size": 15, "modifiedAt": _MODIFIED},
):
    """A file that was read."""

    path: str = member(TEXT)
    content: bytes = member(TEXT)
    size: int = member(SIZE)
    modified_at: str = member(MOMENT)

    @classmethod
    def of(cls, path: str, found: FileContent) -> Self:
        """A file of the domain's."""
        return cls(path=path, content=found.content, size=found.size, modified_at=iso_ns(found.modified_ns))


class WrittenFile(Message, title="WrittenFile", example={"path": "src/app.py", "size": 15}):
    """A file that was written."""

    path: str = member(TEXT)
    size: int = member(SIZE)


class Entry(Message, title="Entry", example=_ENTRY):
    """A member of a directory."""

    name: str = member(TEXT)
    type: str = member(_KIND)
    size: int = member(SIZE)
    modified_at: str = member(MOMENT)

    @classmethod
    def of(cls, entry: model.Entry) -> Self:
        """An entry of the domain's."""
        return cls(
            name=display_name(entry.name),
            type=entry.type.value,
            size=entry.size,
            modified_at=iso_ns(entry.modified_ns),
        )


class Directory(Message, title="Directory", example={"path": "src", "entries": [_ENTRY]}):
    """A directory; its entries are made while they are written."""

    path: str = member(TEXT)
    entries: Iterator[Entry] = member({"type": "array", "items": Entry.schema})


class Existing(
    Message, title="Existing", example={"exists": True, "type": "file", "size": 15, "modifiedAt": _MODIFIED}
):
    """What a path is."""

    exists: bool = member({"const": True})
    type: str = member(_KIND)
    size: int = member(SIZE)
    modified_at: str = member(MOMENT)

    @classmethod
    def of(cls, entry: model.Entry) -> Self:
        """An entry of the domain's."""
        return cls(exists=True, type=entry.type.value, size=entry.size, modified_at=iso_ns(entry.modified_ns))


class Missing(Message, title="Missing", example={"exists": False}):
    """That a path is nothing."""

    exists: bool = member({"const": False})


METADATA = either("Metadata", Existing, Missing)
