"""A session in a real container of the real engine, and three pairs of hands on it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import docker
from quickstart import console
from quickstart import engine as engines
from quickstart.image import DEFAULT_IMAGE, SessionImage

from bench.hands import LABEL, Api, Cli, DockerPy, Hands
from bench.measurement import Failed
from bench.peers import Place
from bench.peers.gateway import KEY, daemon

#: Above the default, so that 100 MB of output come whole.
_SETTINGS = {"EXEC_OUTPUT_LIMIT": str(128 << 20)}
_SESSION_LABEL = "sandbox.session.id"
_ROOT = Path(__file__).parents[1]


@attrs.frozen
class Laboratory:
    """What the workloads on the engine share.

    :ivar hands: by subject.
    """

    hands: Mapping[str, Hands]


@contextmanager
def laboratory(place: Place) -> Iterator[object]:
    """Have an engine, the session image, the daemon and one session; what was made is removed at the end."""
    token = secrets.token_hex(4)
    screen = console.Console()
    with _everywhere():
        engine = engines.ensure(os.environ, screen, place.scratch / "dockerd.log")
    client = docker.APIClient(base_url=engine.url, version="1.41", timeout=120)
    settings = {"DOCKER_HOST": engine.url, **_SETTINGS}
    try:
        with _everywhere():
            SessionImage(engine.url, DEFAULT_IMAGE, screen, dict(os.environ), place.scratch).ensure()
        with ExitStack() as stack:
            api, container = _api(stack, place, settings, token, _ROOT)
            hands: dict[str, Hands] = {
                "api": api,
                "docker-py": DockerPy(engine.url, container, DEFAULT_IMAGE, token),
                "docker-cli": Cli(engine.url, container, DEFAULT_IMAGE, token),
            }
            if place.before is not None:
                hands["before"], _ = _api(stack, place, settings, f"{token}-before", place.before)
            yield Laboratory(hands)
    finally:
        _remove(client, token)
        client.close()
        engine.stop()


def _api(stack: ExitStack, place: Place, settings: Mapping[str, str], token: str, checkout: Path) -> tuple[Api, str]:
    """A daemon and one session of it; gives the id of its container, too."""
    command = ["twistd", "--nodaemon", "--pidfile=", "sandbox"]
    _, port, _ = stack.enter_context(daemon(place, settings, command, checkout))
    api = Api(port, KEY, f"bench-{token}", token)
    session = api.call("POST", "", {"userId": "bench", "id": api.session})
    stack.callback(api.remove, api.session)
    api.execute("true")  # starts the agent, which "create to first command" measures
    return api, session["containerId"]


@contextmanager
def _everywhere() -> Iterator[None]:
    """What is prepared, an engine among it, may use every core, not only the load's.

    :raises Failed: when it cannot be.
    """
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    except console.Failed as error:
        raise Failed(str(error)) from None
    finally:
        os.sched_setaffinity(0, mine)


def _remove(client: docker.APIClient, token: str) -> None:
    """Whatever an interrupted run left."""
    mine = client.containers(all=True, filters={"label": f"{LABEL}={token}"})
    sessions = client.containers(all=True, filters={"label": _SESSION_LABEL})
    mine += [found for found in sessions if found["Labels"][_SESSION_LABEL].startswith(f"bench-{token}")]
    for found in mine:
        client.remove_container(found["Id"], force=True, v=True)
    for volume in client.volumes(filters={"label": _SESSION_LABEL})["Volumes"] or []:
        if volume["Labels"][_SESSION_LABEL].startswith(f"bench-{token}"):
            client.remove_volume(volume["Name"], force=True)
