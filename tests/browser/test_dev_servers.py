"""Real dev servers with hot reloading in a real browser, each by its host and by a path (docs/previews.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.browser.projects import NEXT, VITE, WEBPACK, Project
from tests.browser.stage import PreviewCase

# The first run makes the images.
pytestmark = pytest.mark.timeout(900)


class DevServerCase(PreviewCase):
    """What every dev server has to show."""

    def check(self, browser: Chromium) -> None:
        """The whole story, on the page :attr:`url`."""
        raise NotImplementedError

    def follow(self, form: str, project: Project, command: Sequence[str], port: int, **registration: Any) -> None:
        """Run a project, and check it by one of the URLs that its registration answers with."""

        def start_and_check(browser: Chromium) -> None:
            self.run_application(project.ensure(), command, port, **registration)
            self.url = self.urls[form]
            self.check(browser)

        self.in_browser(start_and_check)

    def finish(self, browser: Chromium, path: str, selector: str, before: str, after: str) -> None:
        """An edit shows in the marked page without a reload; after a restart edits show again."""
        self.edit(path, before, after)
        browser.see(selector, after)
        self.assertTrue(browser.marked, "the page was loaded anew")
        browser.expect_no_errors()
        self.lab.engine.restart(self.container, timeout=2)
        self.await_application()
        self.edit_until_seen(browser, path, selector, after, after)


class ViteTests(DevServerCase):
    """``npm create vite``, the React template."""

    def check(self, browser: Chromium) -> None:
        browser.open(self.url)
        browser.see("h1", "Get started")
        self.assertEqual(browser.style(".counter", "display"), "flex")
        for image in (".framework", ".vite", ".base"):
            script = "return document.querySelector(arguments[0]).naturalWidth > 0"
            browser.until(lambda: browser.run(script, image), image)  # noqa: B023 - waited for in its own turn
        browser.click(".counter")
        browser.see(".counter", "Count is 1")
        browser.mark()
        self.edit("src/App.css", ".counter {", ".counter { outline: rgb(1, 2, 3) solid 1px;")
        browser.until(lambda: browser.style(".counter", "outline-color") == "rgba(1, 2, 3, 1)", "the new style")
        self.edit("src/App.jsx", "Get started", "Hot")
        browser.see("h1", "Hot")
        browser.see(".counter", "Count is 1")
        self.finish(browser, "src/App.jsx", "h1", "Hot", "Hotter")

    def test_by_host(self) -> None:
        self.follow("hostUrl", VITE, ["npm", "run", "dev", "--", "--host"], 5173)

    def test_by_path_with_its_base(self) -> None:
        base = f"/previews/{self.session_id}/"
        self.follow("url", VITE, ["npm", "run", "dev", "--", "--host", "--base", base], 5173, stripPrefix=False)


COUNTER = """"use client";
import { useState } from "react";

export default function Counter() {
  const [count, setCount] = useState(0);
  return <button onClick={() => setCount(count + 1)}>Cold {count}</button>;
}
"""


class NextTests(DevServerCase):
    """``create-next-app``, the template with the app router."""

    def check(self, browser: Chromium) -> None:
        browser.open(self.url)
        browser.see("h1", "To get started")
        self.assertEqual(browser.style("main", "display"), "flex")
        script = "return document.querySelector('img').naturalWidth > 0"
        browser.until(lambda: browser.run(script), "the logo")
        browser.mark()
        # A component on the server is edited, then one in the browser that has a state.
        self.write("app/counter.js", COUNTER)
        # In one step: a page that fails in between is loaded anew when it works again.
        page = self.read("app/page.js").replace("<h1>", "<h1><Counter /> Warm. ")
        self.write("app/page.js", f'import Counter from "./counter";\n{page}')
        browser.see("h1", "Warm. To get started")
        browser.see("button", "Cold 0")
        browser.click("h1 button")
        browser.see("button", "Cold 1")
        self.edit("app/counter.js", "Cold", "Hot")
        browser.see("h1 button", "Hot 1")
        self.finish(browser, "app/counter.js", "h1 button", "Hot", "Hotter")

    def test_by_host(self) -> None:
        self.follow("hostUrl", NEXT, ["npm", "run", "dev"], 3000)

    def test_by_path_with_its_base_path(self) -> None:
        # The gateway redirects /previews/ID to /previews/ID/; Next.js by itself does the opposite.
        config = f'export default {{ basePath: "/previews/{self.session_id}", trailingSlash: true }};'
        script = f"echo '{config}' > next.config.mjs && exec npm run dev"
        self.follow("url", NEXT, ["sh", "-c", script], 3000, stripPrefix=False)


class WebpackTests(DevServerCase):
    """webpack-dev-server with React's fast refresh, which is what Create React App ran."""

    def check(self, browser: Chromium) -> None:
        browser.open(self.url)
        browser.see("h1", "It works")
        self.assertEqual(browser.style("h1", "color"), "rgba(0, 102, 51, 1)")
        browser.click("button")
        browser.see("button", "Count is 1")
        browser.mark()
        self.edit("src/index.css", "rgb(0, 102, 51)", "rgb(1, 2, 3)")
        browser.until(lambda: browser.style("h1", "color") == "rgba(1, 2, 3, 1)", "the new style")
        self.edit("src/App.jsx", "It works", "Hot")
        browser.see("h1", "Hot")
        browser.see("button", "Count is 1")
        self.finish(browser, "src/App.jsx", "h1", "Hot", "Hotter")

    def serve(self, socket: str) -> list[str]:
        # Port 0 stands for the page's own; by itself the client would take the dev server's, which no browser reaches.
        return ["npm", "start", "--", "--host", "0.0.0.0", "--client-web-socket-url", f"auto://0.0.0.0:0{socket}"]

    def test_by_host(self) -> None:
        self.follow("hostUrl", WEBPACK, self.serve("/ws"), 8080)

    def test_by_path_with_its_socket_s_path(self) -> None:
        self.follow("url", WEBPACK, self.serve(f"/previews/{self.session_id}/ws"), 8080)
