"""Every command in docs/ is run by a test, or says above itself why not."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.page import PageCase
from tests.documents import DOCS, READ, RUN, Step, examples, pages

TESTS = Path(__file__).parents[1]
#: How tests elsewhere take a page's commands: all of its console blocks, or the blocks of a language.
_TAKEN = re.compile(r'\b(?:steps|type_page|blocks)\((?:[\w.]+, )?"([\w/-]+\.md)"(?:, "(\w+)")?\)')
#: How many commands are not run. Whoever raises it has a reason that others accept.
NOT_RUN = 12


class Coverage(SynchronousTestCase):
    """Looks at the pages; what runs them is beside this module."""

    def test_each_command_is_run_or_says_why_not(self) -> None:
        """A page with a command needs a test that runs the page."""
        for name in ("test_explanations", "test_how_to", "test_tutorial"):
            importlib.import_module(f"tests.docs.{name}")
        run = {(kind.page, each) for kind in _subclasses(PageCase) if "page" in vars(kind) for each in RUN}
        for test in TESTS.rglob("test_*.py"):
            run |= {(page, each or "console") for page, each in _TAKEN.findall(test.read_text("utf-8"))}
        forgotten = [
            f"{each.page}:{each.line}"
            for page in pages()
            for each in examples(page)
            if each.runs and (page, each.language) not in run
        ]
        self.assertEqual(forgotten, [], "run by no test, and not marked <!-- not run: WHY -->")

    def test_what_is_not_run_is_listed(self) -> None:
        """With the reason, and no more of it than is known of."""
        listed = [
            f"{each.page}:{each.line}: {each.why_not}" for page in pages() for each in examples(page) if each.why_not
        ]
        print("not run:", *listed, sep="\n  ")
        self.assertEqual(len(listed), NOT_RUN, "\n".join(listed))

    def test_each_block_has_a_language_that_tells_what_it_is(self) -> None:
        """A command cannot hide in a block of another language, or in one that is not closed."""
        for page in pages():
            found = examples(page)
            for each in found:
                place = f"{page}:{each.line}: {each.language}"
                generated = each.language.startswith("{")
                self.assertTrue(generated or each.language in RUN | READ, place)
                self.assertNotRegex("" if each.language in RUN else each.text, r"(?m)^\$ ", place)
                self.assertTrue(each.note == "" or each.why_not or each.stays, f"{place}: {each.note}")
            fences = len(re.findall(r"^ *```", (DOCS / page).read_text("utf-8"), re.MULTILINE))
            self.assertEqual(fences, 2 * len(found), page)

    def test_what_is_compared_is_compared(self) -> None:
        """Of the lines that a page leaves out, and of those that it does not."""
        step = Step("x", "first\n…\nlast …\n")
        self.assertTrue(step.agrees("first\nlast one\n"))
        self.assertTrue(step.agrees("first\na\nb\nlast one\n"))
        for other in ("first\na\nb\n", "last one\n", "first\nlast one\nmore\n"):
            self.assertFalse(step.agrees(other), other)


def _subclasses(kind: type[PageCase]) -> set[type[PageCase]]:
    return {kind} | {each for child in kind.__subclasses__() for each in _subclasses(child)}
