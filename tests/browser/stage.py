"""A daemon, a container with a project in it, and a browser in front."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.browser.chromium import Chromium, NetworkChanged
from tests.browser.projects import workspace_of
from tests.daemon import Daemon
from tests.engine import EngineTestCase

_SITES = Path(__file__).parent / "sites"
#: Seconds that a dev server may take until it answers.
START_LIMIT = 240.0
#: How often something is tried in a browser while the machine's network changes.
ATTEMPTS = 4


class PreviewCase(EngineTestCase):
    """One session's preview; the container's main process is the application, so that it restarts with it.

    :ivar environment: further variables of the daemon.
    :ivar session_id: with an upper-case letter and an underscore, which a host cannot hold as they are.
    """

    timeout = 300
    environment: Mapping[str, str] = MappingProxyType({})

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix="sandbox-browser-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.daemon = Daemon(self.directory / "daemon", self.environment)
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.session_id = f"T_{self.lab.token}"
        self.container: str | None = None

    def run_application(self, image: str, command: Sequence[str], port: int, **registration: Any) -> None:
        """Start a container that runs an application, register its port, wait until it answers.

        :param registration: further fields of the registration, such as ``stripPrefix``.
        """
        self.start_application(image, command, port, **registration)
        self.await_application()

    def start_application(
        self, image: str, command: Sequence[str], port: int, *, sites: str = "", **registration: Any
    ) -> None:
        """The same without the waiting.

        :param sites: a directory in ``sites/`` whose files are put into the workspace before the application starts.
        """
        if self.container is not None:
            self.lab.engine.remove_container(self.container, force=True)
        self.container = self.lab.container(
            session_id=self.session_id,
            image=image,
            command=command,
            network="bridge",
            environment={"NEXT_TELEMETRY_DISABLED": "1"},
            start=False,
        )
        if sites:
            self.lab.engine.put_archive(self.container, "/", workspace_of(_SITES / sites))
        self.lab.engine.start(self.container)
        path = f"sessions/{self.session_id}/previews"
        self.urls = self.daemon.call("POST", path, {"port": port, **registration}, status=201)

    def await_application(self) -> None:
        """Wait until the application answers.

        :raises AssertionError: when it does not in time, with what it said.
        """
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            status, answer = self.daemon.request("GET", f"/previews/{self.session_id}/health")
            if status == 200 and b'"healthy": true' in answer:
                return
            time.sleep(0.2)
        raise AssertionError(f"no application: {answer!r}\n{self.lab.engine.logs(self.container).decode()[-3000:]}")

    def in_browser(self, check: Callable[[Chromium], None], *flags: str) -> None:
        """Do something with a new browser, and again when the machine's network changed meanwhile.

        :param flags: see :class:`Chromium`.
        """
        for attempt in range(ATTEMPTS):
            browser = Chromium(self.directory / f"profile{attempt}", *flags)
            try:
                check(browser)
                return
            except NetworkChanged:
                if attempt == ATTEMPTS - 1:
                    raise
            finally:
                browser.close()

    def read(self, path: str) -> str:
        """A file of the workspace."""
        text: str = self.daemon.call("GET", f"sessions/{self.session_id}/files?path={path}")["content"]
        return text

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the workspace as the platform does it."""
        before = self.read(path)
        if old not in before:
            raise AssertionError(f"{old!r} is not in {path}: {before}")
        self.write(path, before.replace(old, new))

    def edit_until_seen(self, browser: Chromium, path: str, selector: str, before: str, after: str) -> None:
        """Edit a text in a file until an edit shows in a page: dev servers miss what is edited before they watch.

        :param after: what the text begins with then.
        """
        shown = before

        def edited() -> bool:
            nonlocal shown
            old, shown = shown, f"{after} {secrets.token_hex(4)}"
            self.edit(path, old, shown)
            return browser.soon(lambda: shown in browser.text(selector))

        browser.until(edited, f"an edit of {path}")

    def write(self, path: str, content: str) -> None:
        """Put a file into the workspace as the platform does it."""
        body = {"path": path, "content": content}
        self.daemon.call("POST", f"sessions/{self.session_id}/files", body, status=201)
