"""Validation of workspace paths, and the encoding of file names in JSON (contract section 3)."""

from __future__ import annotations

from sandbox.domain.errors import InvalidPath

#: Bytes of a whole path and of one segment (contract section 3; Linux has the same NAME_MAX).
MAX_PATH = 4096
MAX_SEGMENT = 255


def workspace_path(text: str) -> bytes:
    """The bytes of a path relative to ``/workspace``, without empty and ``.`` segments; the workspace itself is ``.``.

    A path whose end requires a directory (``a/``, ``a/.``) keeps one trailing slash, as in POSIX: it never names a
    file. Symbolic links are resolved inside the container, which also refuses those that leave the workspace.

    >>> workspace_path("src//./app.py")
    b'src/app.py'
    >>> workspace_path("src/")
    b'src/'
    >>> workspace_path("./")
    b'.'
    >>> workspace_path("a/../b")
    Traceback (most recent call last):
    sandbox.domain.errors.requests.InvalidPath: Invalid path: it has a '..' segment

    :param text: from JSON or a query; bytes that are not UTF-8 are encoded as by :func:`display_name`.
    :raises InvalidPath: for the reasons that contract section 3 lists.
    """
    if text.startswith("/"):
        raise InvalidPath("it is absolute, not relative to /workspace")
    segments = _checked(text).split(b"/")
    if b".." in segments:
        raise InvalidPath("it has a '..' segment")
    kept = [segment for segment in segments if segment not in (b"", b".")]
    if not kept:
        return b"."
    return b"/".join(kept) + (b"/" if segments[-1] in (b"", b".") else b"")


def display_name(name: bytes) -> str:
    """Decode a file name: UTF-8, any other byte as a lone surrogate U+DC80 to U+DCFF (PEP 383).

    :func:`workspace_path` reverses this, so that every name in a listing can be opened.

    >>> workspace_path(display_name(b"caf\\xe9"))
    b'caf\\xe9'
    """
    return name.decode("utf-8", "surrogateescape")


def _checked(text: str) -> bytes:
    if not text:
        raise InvalidPath("it is empty")
    try:
        path = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # JSON can contain lone surrogates ("\ud800") that encode no byte.
        raise InvalidPath("it has a surrogate that stands for no byte") from None
    if b"\0" in path:
        raise InvalidPath("it has a NUL byte")
    if len(path) > MAX_PATH:
        raise InvalidPath(f"it is over {MAX_PATH} bytes")
    if any(len(segment) > MAX_SEGMENT for segment in path.split(b"/")):
        raise InvalidPath(f"it has a segment over {MAX_SEGMENT} bytes")
    return path
