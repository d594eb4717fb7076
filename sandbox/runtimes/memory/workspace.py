"""In-memory workspace: a tree of files, directories, links and special files with the rules of a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from sandbox.domain.errors import InvalidPath, WorkspaceError
from sandbox.domain.model import Entry, EntryType, FileContent

_MAX_LINKS = 40
_ROOT = b"workspace"


@attrs.define(eq=False)
class File:
    """A regular file."""

    content: bytes
    modified_ns: int


@attrs.define(eq=False)
class Directory:
    """A directory."""

    modified_ns: int
    children: dict[bytes, Node] = attrs.field(factory=dict)


@attrs.define(eq=False)
class SymbolicLink:
    """A symbolic link."""

    target: bytes
    modified_ns: int


@attrs.define(eq=False)
class Special:
    """A fifo, socket or device."""

    modified_ns: int


Node = File | Directory | SymbolicLink | Special

_TYPES = {
    File: EntryType.FILE,
    Directory: EntryType.DIRECTORY,
    SymbolicLink: EntryType.SYMLINK,
    Special: EntryType.OTHER,
}


@attrs.frozen
class _Place:
    """Result of resolving a path: a name in a directory, or the directory itself when the name is empty."""

    directory: Directory
    name: bytes
    wants_directory: bool

    @property
    def node(self) -> Node | None:
        return self.directory.children.get(self.name) if self.name else self.directory


class Workspace:
    """Content of a container's ``/workspace``.

    :param now_ns: nanoseconds since the epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now = now_ns
        self._root = Directory(now_ns())

    def put(self, path: bytes, node: Node) -> None:
        """Insert a node of any kind, and create its parents, for tests."""
        *parents, name = path.split(b"/")
        directory = self._root
        for parent in parents:
            child = directory.children.setdefault(parent, Directory(self._now()))
            assert isinstance(child, Directory)
            directory = child
        directory.children[name] = node

    def stat(self, path: bytes) -> Entry | None:
        """As ``IFiles.stat``."""
        walk, node = _Walk(self._root, None), None
        try:
            place = walk.to(path)
            node = place.node
            if place.wants_directory and not isinstance(node, Directory):
                node = None
        except WorkspaceError as error:
            if error.reason_code == "TOO_MANY_LINKS" and not (walk.links and not path.endswith(b"/")):
                raise
        if node is None and walk.links and not path.endswith(b"/"):
            node = walk.links[0]
        return None if node is None else _entry(b"", node)

    def read(self, path: bytes, limit: int) -> FileContent:
        """As ``IFiles.read_file``."""
        node = self._existing(_Walk(self._root, None).to(path))
        if isinstance(node, Directory):
            raise WorkspaceError("Is a directory", code="IS_A_DIRECTORY")
        if not isinstance(node, File):
            raise WorkspaceError("Not a regular file", code="NOT_A_FILE")
        if len(node.content) > limit:
            raise WorkspaceError("File too large", code="FILE_TOO_LARGE")
        return FileContent(content=node.content, size=len(node.content), modified_ns=node.modified_ns)

    def write(self, path: bytes, content: bytes) -> int:
        """As ``IFiles.write_file``."""
        walk = _Walk(self._root, lambda: Directory(self._now()))
        try:
            place = walk.to(path)
            node = place.node
            if isinstance(node, Directory) or (node is None and place.wants_directory):
                raise WorkspaceError("Is a directory", code="IS_A_DIRECTORY")
            if node is not None and place.wants_directory:
                raise WorkspaceError("Not a directory", code="NOT_A_DIRECTORY")
            if isinstance(node, Special):
                raise WorkspaceError("Not a regular file", code="NOT_A_FILE")
        except (InvalidPath, WorkspaceError):
            walk.undo()
            raise
        place.directory.children[place.name] = File(content, self._now())
        place.directory.modified_ns = self._now()
        return len(content)

    def list(self, path: bytes, limit: int) -> Sequence[Entry]:
        """As ``IFiles.list_directory``."""
        node = self._existing(_Walk(self._root, None).to(path))
        if not isinstance(node, Directory):
            raise WorkspaceError("Not a directory", code="NOT_A_DIRECTORY")
        if len(node.children) > limit:
            raise WorkspaceError("Directory has too many entries", code="DIRECTORY_TOO_LARGE")
        return [_entry(name, child) for name, child in node.children.items()]

    def _existing(self, place: _Place) -> Node:
        node = place.node
        if node is None:
            raise WorkspaceError("No such file or directory", code="FILE_NOT_FOUND")
        if place.wants_directory and not isinstance(node, Directory):
            raise WorkspaceError("Not a directory", code="NOT_A_DIRECTORY")
        return node


class _Walk:
    """Resolution of a path in the tree.

    :ivar links: the links followed at the last segment, in order.
    :ivar made: directories created on the way, removed when the operation fails.
    """

    def __init__(self, root: Directory, make: Callable[[], Directory] | None) -> None:
        self.links: list[SymbolicLink] = []
        self.made: list[tuple[Directory, bytes]] = []
        self._make = make
        self._stack = [root]
        self._rest = b""
        self._followed = 0
        self._wants_directory = False

    def to(self, path: bytes) -> _Place:
        """Resolve a path, following links.

        :raises InvalidPath: when a link leads out of the workspace.
        """
        self._rest = path
        while True:
            name, slash, self._rest = self._rest.lstrip(b"/").partition(b"/")
            last = not self._rest.strip(b"/")
            if not name:
                return _Place(self._stack[-1], b"", True)
            if name == b"..":
                self._leave()
            elif name != b".":
                self._wants_directory |= bool(last and slash)
                child = self._child(name, last)
                if isinstance(child, SymbolicLink):
                    self._follow(child, last, slash)
                elif last:
                    return _Place(self._stack[-1], name, self._wants_directory)
                else:
                    self._enter(child)

    def undo(self) -> None:
        """Remove the created directories."""
        for directory, name in reversed(self.made):
            del directory.children[name]

    def _child(self, name: bytes, last: bool) -> Node | None:
        directory = self._stack[-1]
        if name not in directory.children and not last and self._make is not None:
            directory.children[name] = self._make()
            self.made.append((directory, name))
        return directory.children.get(name)

    def _leave(self) -> None:
        if len(self._stack) == 1:
            raise _outside()
        self._stack.pop()

    def _enter(self, child: Node | None) -> None:
        if child is None:
            raise WorkspaceError("No such file or directory", code="FILE_NOT_FOUND")
        if not isinstance(child, Directory):
            raise WorkspaceError("Not a directory", code="NOT_A_DIRECTORY")
        self._stack.append(child)

    def _follow(self, link: SymbolicLink, last: bool, slash: bytes) -> None:
        self._followed += 1
        if self._followed > _MAX_LINKS:
            raise WorkspaceError("Too many levels of symbolic links", code="TOO_MANY_LINKS")
        if last:
            self.links.append(link)
        target = link.target
        if target.startswith(b"/"):
            first, _, target = target.lstrip(b"/").partition(b"/")
            if first != _ROOT:
                raise _outside()
            del self._stack[1:]
        self._rest = (target or b".") + slash + self._rest


def _outside() -> InvalidPath:
    return InvalidPath("a symbolic link leads out of /workspace")


def _entry(name: bytes, node: Node) -> Entry:
    size = len(node.content) if isinstance(node, File) else len(node.target) if isinstance(node, SymbolicLink) else 0
    return Entry(name=name, type=_TYPES[type(node)], size=size, modified_ns=node.modified_ns)
