"""docs/tutorial.md, with a browser beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.browser.chromium import Chromium
from tests.docs.page import PageCase, free_port
from tests.documents import Step
from tests.engine import Lab
from tests.session_image import ensure_session_image

ROOT = Path(__file__).parents[2]
#: What ``./quickstart`` is once it has made its environment; .ci/run runs all of it.
QUICKSTART = '#!/bin/sh\nPYTHONPATH=$PWD/etc exec .venv/bin/python -P -m quickstart "$@"\n'


class Tutorial(PageCase):
    """From ``./quickstart`` to the end, in a copy of what the clone has of it."""

    page = "tutorial.md"

    def setUp(self) -> None:
        super().setUp()
        ensure_session_image()
        shutil.copytree(ROOT / "etc", self.directory / "etc", ignore=shutil.ignore_patterns("__pycache__"))
        program = self.directory / "quickstart"
        program.write_text(QUICKSTART)
        program.chmod(0o755)
        port = str(free_port())
        self.environment["PORT"] = port
        self.meant = {"4002": port, "tutorial": f"tutorial-{port}"}
        lab = Lab()
        self.addCleanup(lab.close)
        self.addCleanup(lab.remove_session, self.meant["tutorial"])
        self.browser: Chromium | None = None
        self.seen: list[str] = []

    def test_every_step(self) -> None:
        """What the page prints is printed, and what it says that the browser shows is shown."""
        self.run_page()
        self.assertEqual(
            self.seen,
            ["It runs.", "Hello from a container", "It changed by itself", "Written by Python", "Sent by curl"],
        )

    def after(self, step: Step, printed: str) -> None:
        """Look at the browser where the page says so."""
        if step.command == "./quickstart":
            self.open(re.search(r"http://3000-\S+", printed)[0], "It runs.")  # type: ignore[index]
        elif step.command.startswith("sandbox preview health"):
            self.open(f"http://3000-{self.meant['tutorial']}.localhost:{self.meant['4002']}/", "Hello from a container")
        else:
            for words in ("It changed by itself", "Written by Python", "Sent by curl"):
                if words in step.command and words not in self.seen:
                    self.see(words)

    def open(self, url: str, words: str) -> None:
        """Open a page, and mark it so that a reload by hand would be noticed."""
        if self.browser is None:
            self.browser = Chromium(self.directory / "profile")
            self.addCleanup(self.browser.close)
        self.browser.open(url)
        self.see(words)

    def see(self, words: str) -> None:
        """Wait for a headline."""
        assert self.browser is not None
        self.browser.see("h1", words)
        self.seen.append(words)
