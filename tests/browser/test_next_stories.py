"""Next.js's server actions and hot reloading, by ways of which each pair comes up."""

from __future__ import annotations

import pytest

from tests.browser.projects import NEXT, NEXT14, Project
from tests.browser.stories import PAIRS, Site, Story, StoryCase, Way, public

# The first run makes the images.
pytestmark = pytest.mark.timeout(900)


def _of_16(way: Way) -> str | None:
    """16 refuses the WebSockets of hosts other than localhost, without which no script of its pages runs.

    It serves pages there, so that ``auto`` tells it of the public host until it has refused the first of them.
    """
    return None if way.host == "public" and way.domain != "localhost" else public(way)


class NextTests(StoryCase):
    """Its dev server, which compares a server action's Origin with what it is told of the host."""

    def check(self, project: Project, story: Story) -> None:
        # With a base path one server does for both forms.
        base = f"/previews/{self.session_id}"
        command = ["sh", "-c", f"BASE={base} exec npx next dev --port 3000"]
        site = Site(port=3000, story=story, base=base, ways=PAIRS, scripts=True, hot="app/page.js")
        self.tell(project.ensure(), command, "next", site)

    def test_f4_f5_server_actions_of_14(self) -> None:
        self.check(NEXT14, public)

    def test_f4_f5_server_actions_of_16(self) -> None:
        self.check(NEXT, _of_16)
