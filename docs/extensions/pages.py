"""What the generators share: Markdown made by code, put where the directive stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table. Bars within cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


class Generated(SphinxDirective):
    """A directive whose content is made at build time."""

    def lines(self) -> list[str]:
        """The Markdown."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse it as if it stood in the page."""
        container = nodes.section()
        container.document = self.state.document
        self.state.nested_parse(StringList(self.lines(), self.get_source_info()[0]), 0, container, match_titles=True)
        return container.children
