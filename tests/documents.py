"""The examples of the documentation, taken out of its pages."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

DOCS = Path(__file__).parents[1] / "docs"
#: Languages of blocks that somebody types or runs.
RUN = frozenset({"console", "sh", "python"})
#: Languages of blocks that somebody reads, or puts into a file of another program's.
READ = frozenset({"caddy", "css", "html", "ini", "js", "json", "nginx", "sql", "text", "toml", "yaml"})
#: An HTML comment above a block may say what becomes of it: ``not run: WHY``, or ``stays: WHAT IT PRINTS`` for a
#: program that runs on in a terminal of its own once it has printed that.
_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<note>[^\n]*) -->\n+(?P=indent))?"
    r"(?P<fence>`{3,})(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Step:
    """A command of a ``console`` block and what the page says that it prints."""

    command: str
    output: str

    def agrees(self, printed: str) -> bool:
        """Whether it is what was printed; ``…`` stands for anything in a line, a line of it for any lines, and spaces
        for any number of them."""
        words = re.split(r"(^…$\n?|…|[ ]+)", self.output.rstrip("\n"), flags=re.MULTILINE)
        pattern = "".join(_pattern(word) for word in words)
        return re.fullmatch(pattern, printed.rstrip("\n")) is not None


def _pattern(word: str) -> str:
    if word == "…\n":
        return "(?:[^\n]*\n)*"
    if word and not word.strip(" "):
        return "[ ]+"
    return "[^\n]*" if word == "…" else re.escape(word)


@attrs.frozen
class Example:
    """A fenced block of a page.

    :ivar line: where it begins.
    :ivar note: what the comment above it says, empty when there is none.
    """

    page: str
    line: int
    language: str
    text: str
    note: str

    @property
    def why_not(self) -> str:
        """Why it is not run; empty when it is."""
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else ""

    @property
    def stays(self) -> str:
        """What a program prints when it is ready, that then runs on; empty for what ends by itself."""
        return self.note.removeprefix("stays: ") if self.note.startswith("stays: ") else ""

    @property
    def runs(self) -> bool:
        """Whether a test has to run it."""
        return self.language in RUN and not self.why_not

    def steps(self) -> list[Step]:
        """What a ``console`` block does: lines after ``$`` and, going on, after ``>``."""
        found = []
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *rest = part.splitlines(keepends=True)
            while rest and (rest[0].startswith("> ") or rest[0] == ">\n"):
                command += rest.pop(0)[2:] or "\n"
            found.append(Step(command.rstrip("\n"), "".join(rest)))
        return found


def pages() -> list[str]:
    """All pages, as they are named below ``docs/``."""
    return sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def examples(page: str) -> list[Example]:
    """The fenced blocks of a page, in their order."""
    text = (DOCS / page).read_text("utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        indent = len(block["indent"])
        content = "".join(line[indent:] or "\n" for line in block["text"].splitlines(keepends=True))
        line = text.count("\n", 0, block.start("fence")) + 1
        found.append(Example(page, line, block["language"], content, block["note"] or ""))
    return found


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language that are to be run, in their order."""
    return [each.text for each in examples(page) if each.language == language and each.runs]


def steps(page: str) -> list[Step]:
    """What the ``console`` blocks of a page do, one after the other."""
    return [step for each in examples(page) if each.language == "console" and each.runs for step in each.steps()]
