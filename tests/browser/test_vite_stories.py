"""Vite's dev server and frameworks that are built on it, by ways of which each pair comes up."""

from __future__ import annotations

import pytest

from tests.browser.projects import REACT_ROUTER7, REACT_ROUTER8, SVELTEKIT, VITE, Project
from tests.browser.stories import PAIRS, Site, Story, StoryCase, Way, local_on, only, plain, public

# The first run makes the images.
pytestmark = pytest.mark.timeout(900)


class ViteStoryCase(StoryCase):
    """Sites with a base path, so that one server does for both forms."""

    def setUp(self) -> None:
        super().setUp()
        self.base = f"/previews/{self.session_id}"


class ViteTests(ViteStoryCase):
    """Vite's dev server, which refuses hosts that it does not know: none but localhost and what is below."""

    def test_f4_f5_hot_reloading(self) -> None:
        site = Site(port=5173, story=local_on("domain"), base=self.base, ways=PAIRS, form=False, hot="src/App.jsx")
        command = ["npm", "run", "dev", "--", "--host", "--base", f"{self.base}/"]
        self.tell(VITE.ensure(), command, "", site)


class ReactRouterTests(ViteStoryCase):
    """React Router, which compares an action's Origin with the request's address: its dev server and a built site."""

    def check(self, project: Project, built: Story) -> None:
        serve = "npx react-router build && PORT=3001 exec npx react-router-serve build/server/index.js"
        script = f"export BASE={self.base}/; npx react-router dev --host --port 3000 & {serve}"
        of_both = {"base": self.base, "scripts": True}
        ways = (*PAIRS, Way("auto", "host", "https", "localhost"))
        develop = Site(port=3000, story=local_on("domain"), ways=ways, hot="app/routes/home.jsx", **of_both)
        self.tell(
            project.ensure(),
            ["sh", "-c", script],
            "react-router",
            develop,
            Site(port=3001, story=built, ways=PAIRS, **of_both),
        )

    def test_f4_f5_actions_of_7(self) -> None:
        self.check(REACT_ROUTER7, public)

    def test_f4_f5_actions_of_8(self) -> None:
        # react-router-serve believes no proxy's scheme, and 8 compares that, too.
        self.check(REACT_ROUTER8, plain(public))


class SvelteKitTests(ViteStoryCase):
    """SvelteKit by its adapter for node, with its variables for proxies, and built for an address of its own."""

    def test_f4_f5_form_actions(self) -> None:
        script = f"""export BASE={self.base}
        OUT=proxied npx vite build && OUT=own ORIGIN=http://localhost:3001 npx vite build || exit
        HOST_HEADER=x-forwarded-host PROTOCOL_HEADER=x-forwarded-proto PORT=3000 node proxied &
        PORT=3001 node own"""
        proxied = Site(port=3000, story=only("public"), base=self.base, scripts=True)
        own = Site(port=3001, story=only("local"), base=self.base, ways=PAIRS, scripts=True)
        self.tell(SVELTEKIT.ensure(), ["sh", "-c", script], "sveltekit", proxied, own)
