"""The examples of the documentation, taken out of its pages."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

DOCS = Path(__file__).parents[1] / "docs"


@attrs.frozen
class Step:
    """A command of a ``console`` block and what the page says that it prints."""

    command: str
    output: str

    def agrees(self, printed: str) -> bool:
        """Whether it is what was printed; ``…`` stands for anything in a line, and spaces for any number of them."""
        words = re.split(r"(…|[ ]+)", self.output.rstrip("\n"))
        pattern = "".join(
            {"…": "[^\n]*"}.get(word) or ("[ ]+" if word.strip(" ") == "" and word else re.escape(word))
            for word in words
        )
        return re.fullmatch(pattern, printed.rstrip("\n")) is not None


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, in their order."""
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(page: str) -> list[Step]:
    """What the ``console`` blocks of a page do, one after the other."""
    found = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Step(command, output))
    return found
