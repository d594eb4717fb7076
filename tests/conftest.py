"""How the suite runs: in a scratch directory, against the wheel where tox installed one, nothing skipped."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
from docker.errors import DockerException
from hypothesis import settings
from quickstart.console import Failed

import sandbox
from sandbox.net.reactor import install

pytest_plugins = ["tests.tiers"]

# What is tested runs on the reactor that is shipped.
install()

# Examples have no deadline: on a busy machine it fails what is right. What hangs is ended by pytest's timeout. They are
# the same each time, so that who changes something else meets no failure of theirs; to look for new ones:
# pytest --hypothesis-profile=search
settings.register_profile("sandbox", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("sandbox")


def pytest_report_header(config: pytest.Config) -> str:
    """Say which copy of the package is tested; under tox it has to be the installed one."""
    found = Path(sandbox.__file__).parent
    if "TOX_ENV_NAME" in os.environ and found == config.rootpath / "sandbox":
        pytest.exit(f"the tests would run against {found} instead of the installed wheel", returncode=3)
    return f"sandbox: {found}"


# Few tests that take long begin first: else one process would still be at them when the others are done.
_LONG = ("tests/deployment/", "tests/browser/", "tests/operations/test_kill.py", "tests/api/test_fuzzing.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into the order in which processes take them, a file at a time."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the images that collected tests run in: their minutes are no part of a test's time."""
    capture = session.config.pluginmanager.get_plugin("capturemanager")
    if not session.items or session.config.option.collectonly:
        return
    # Where one cannot be made, the tests that need it say so.
    with capture.global_and_fixture_disabled(), contextlib.suppress(Failed, DockerException, AssertionError):
        if (image := sys.modules.get("tests.session_image")) is not None:
            image.ensure_session_image()
        if (server := sys.modules.get("tests.deployment.server")) is not None:
            server.ensure_image()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A test that did not run says nothing: skipping fails the run, like an engine or a database that is missing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Where TestCase.mktemp puts its files.
    os.chdir(tmp_path_factory.mktemp("scratch"))
