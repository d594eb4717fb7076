"""Who owns a new workspace: the user whom the image names, by the image's own user database. Pure."""

from __future__ import annotations

import io
import tarfile

import attrs

#: Bytes of a user database that are looked at; ids past them count as unknown.
DATABASE_LIMIT = 1 << 20


@attrs.frozen
class Owner:
    """A user and a group by number."""

    uid: int
    gid: int


def is_root(user: str) -> bool:
    """Whether an image's ``Config.User`` is root: nothing has to be given to it then."""
    return user.partition(":")[0] in ("", "0", "root")


def needs_database(user: str) -> bool:
    """Whether ``/etc/passwd`` and ``/etc/group`` are needed to know the numbers of a ``Config.User``."""
    uid, _, gid = user.partition(":")
    return not (uid.isdigit() and gid.isdigit())


def owner_of(user: str, passwd: str, group: str) -> Owner | None:
    """The numbers of ``Config.User`` (``uid``, ``uid:gid``, by name or number), as the engine itself resolves them.

    A number that the database does not have stands for itself, its group then being 0. ``None`` for an unknown name:
    the engine will refuse to start such a container and say why.

    >>> owner_of("app", "app:x:1000:1001::/:/bin/sh", "")
    Owner(uid=1000, gid=1001)
    """
    wanted, _, wanted_group = user.partition(":")
    found = next((row for row in _rows(passwd, 4) if wanted in (row[0], row[2])), None)
    if found is not None:
        uid, gid = int(found[2]), int(found[3])
    elif wanted.isdigit():
        uid, gid = int(wanted), 0
    else:
        return None
    if wanted_group:
        named = next((row for row in _rows(group, 3) if wanted_group in (row[0], row[2])), None)
        if named is not None:
            gid = int(named[2])
        elif wanted_group.isdigit():
            gid = int(wanted_group)
        else:
            return None
    return Owner(uid, gid)


def _rows(database: str, columns: int) -> list[list[str]]:
    rows = [line.split(":") for line in database.splitlines()]
    return [row for row in rows if len(row) >= columns and all(cell.isdigit() for cell in row[2:columns])]


def directory_archive(name: str, owner: Owner) -> bytes:
    """An uncompressed tar of one directory entry: extracted over a directory, it changes the owner and leaves the rest.

    Uncompressed always: the engine unpacks a compressed one with programs of the container's (CVE-2026-41567).
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        entry.uid, entry.gid = owner.uid, owner.gid
        tar.addfile(entry)
    return stream.getvalue()


def single_file(archive: bytes) -> str:
    """The text of the regular file that an archive of one entry holds; empty when it holds none."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        entry = tar.next()
        content = tar.extractfile(entry) if entry is not None and entry.isreg() else None
        return content.read().decode("utf-8", "replace") if content is not None else ""
