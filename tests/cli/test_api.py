"""``sandbox api``."""

from __future__ import annotations

import json

from sandbox.api.internal.api import description
from sandbox.api.internal.page import page
from tests.cli.command import CommandCase


class Api(CommandCase):
    def test_the_document_is_printed(self) -> None:
        self.assertEqual(json.loads(self.good("api")), description())

    def test_the_page_is_printed(self) -> None:
        self.assertEqual(self.good("api", "--page").encode(), page())

    def test_either_is_written_to_a_file(self) -> None:
        self.assertEqual(self.good("api", "-o", "api.json"), "api.json\n")
        self.assertEqual(json.loads(self.work.joinpath("api.json").read_bytes()), description())
        self.assertEqual(self.values("api", "--page", "-o", "new/api.html"), {"path": "new/api.html"})
        self.assertEqual(self.work.joinpath("new", "api.html").read_bytes(), page())
        self.work.joinpath("file").touch()
        self.assertIn("cannot be written", self.bad("api", "-o", "file/api.json"))

    def test_the_page_is_shown_in_a_browser_from_a_file(self) -> None:
        browser = self.work / "browser"
        browser.write_text('#!/bin/sh\nprintf %s "$1" > "$SEEN"\n')
        browser.chmod(0o700)
        cache, seen = self.work / "cache", self.work / "seen"
        shown = self.good("api", "--open", BROWSER=f"{browser} %s", SEEN=str(seen), XDG_CACHE_HOME=str(cache))
        path = cache / "sandbox" / "api.html"
        self.assertEqual((shown, seen.read_text()), (f"{path}\n", path.as_uri()))
        self.assertEqual(path.read_bytes(), page())

    def test_a_wrong_key_is_told(self) -> None:
        for options in ((), ("--page",)):
            self.assertIn("Forbidden", self.bad("api", *options, INTERNAL_SERVICE_KEY="wrong"))
