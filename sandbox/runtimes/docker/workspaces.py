"""A new container's workspace: checked before the first start, then given to the image's user; blocking calls.

The agent resolves the user's ids, by the same rule as for commands.
"""

from __future__ import annotations

import io
import re
import tarfile

import docker
from docker.utils import decode_json_header

from sandbox.domain.errors import EngineError, ImageUnusable
from sandbox.runtimes.docker import agent_errors, program
from sandbox.runtimes.docker.isolation import WORKSPACE

#: Its name in the root directory.
_NAME = WORKSPACE.lstrip("/")


def is_root(user: str) -> bool:
    """Whether an image's ``Config.User`` is root, which owns the workspace already."""
    return user.partition(":")[0] in ("", "0", "root")


def check(client: docker.APIClient, container_id: str, image: str) -> None:
    """Check ``/workspace`` in a container that was created and not yet started.

    :raises ImageUnusable: when it is a symbolic link: the engine would mount the volume at its target, and the agent
        does not follow links.
    """
    url = client._url("/containers/{0}/archive", container_id)
    answer = client.head(url, params={"path": WORKSPACE}, timeout=client.timeout)
    client._raise_for_status(answer)
    if decode_json_header(answer.headers["x-docker-container-path-stat"]).get("linkTarget"):
        raise ImageUnusable(image, f"{WORKSPACE} is a symbolic link in it")


def open_to_all(client: docker.APIClient, container_id: str) -> None:
    """Let any user write to the workspace of a created container, until :func:`give`.

    A main process set by ``SESSION_COMMAND`` may write as soon as the container starts, before :func:`give` can run.
    """
    client.put_archive(container_id, "/", directory_archive(_NAME, 0o777))


def give(client: docker.APIClient, container_id: str, user: str) -> None:
    """Make the image's user the owner of the workspace of a running container.

    :raises EngineError: when the agent cannot resolve the user.
    """
    execution = client.exec_create(container_id, [program.path(), "user", user], user="0:0", workdir="/")["Id"]
    said = client.exec_start(execution).decode("utf-8", "replace").strip()
    succeeded = client.exec_inspect(execution)["ExitCode"] == 0
    if not (succeeded and (ids := re.fullmatch(r"([0-9]{1,10}) ([0-9]{1,10})", said, re.ASCII))):
        reason = agent_errors.words(int(said)) if re.fullmatch(r"[0-9]{1,4}", said, re.ASCII) else said[:500]
        raise EngineError(f"the workspace cannot be given to user {user}: {reason}", code="AGENT_UNAVAILABLE")
    client.put_archive(container_id, "/", directory_archive(_NAME, 0o755, uid=int(ids[1]), gid=int(ids[2])))


def directory_archive(name: str, mode: int, uid: int = 0, gid: int = 0) -> bytes:
    """A tar of one directory: extracting it changes the directory's mode and owner and keeps its contents.

    Never compressed: the engine would decompress it with the container's own programs (CVE-2026-41567).
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, uid, gid
        tar.addfile(entry)
    return stream.getvalue()
