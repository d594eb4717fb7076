"""Workspace paths: contract section 3, row by row, and as properties."""

from __future__ import annotations

import doctest
import json
import posixpath

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import InvalidPath
from sandbox.policy import paths
from sandbox.policy.paths import display_name, workspace_path

#: Any name that a Linux file system takes.
names = st.binary(min_size=1, max_size=255).map(lambda b: b.replace(b"/", b"_").replace(b"\0", b"_"))
plain = names.filter(lambda name: name not in (b".", b".."))
#: Texts that are rich in what the rules are about.
tricky = st.lists(
    st.sampled_from(["..", ".", "/", "//", "a", "\0", "x" * 255, "x" * 256, "é", "\udcff", "\ud800", "...", " ", "~"])
).map("".join)


class RefusalTests(SynchronousTestCase):
    """400 ``Invalid path: {reason}``."""

    def refused(self, text: str, reason: str) -> None:
        """Both functions' shared refusals are worded alike."""
        error = self.assertRaises(InvalidPath, workspace_path, text)
        self.assertEqual(error.message, f"Invalid path: {reason}")

    def test_empty(self) -> None:
        self.refused("", "it is empty")

    def test_absolute(self) -> None:
        for text in ("/", "/etc/passwd", "/workspace/x", "//x"):
            self.refused(text, "it is absolute, not relative to /workspace")

    def test_parent_segment(self) -> None:
        for text in ("..", "../x", "a/..", "a/../b", "./..", "a//..//b"):
            self.refused(text, "it has a '..' segment")

    def test_nul_byte(self) -> None:
        self.refused("a\0b", "it has a NUL byte")

    def test_over_4096_bytes(self) -> None:
        longest = "/".join(["é" * 100] * 20) + "/" + "x" * 76
        self.assertEqual(len(longest.encode()), 4096)
        self.assertEqual(workspace_path(longest), longest.encode())
        self.refused(longest + "x", "it is over 4096 bytes")

    def test_segment_over_255_bytes(self) -> None:
        self.assertEqual(workspace_path("x" * 255), b"x" * 255)
        self.refused("x" * 256, "it has a segment over 255 bytes")
        self.refused("a/" + "é" * 128, "it has a segment over 255 bytes")

    def test_surrogate_that_stands_for_no_byte(self) -> None:
        for text in ("\ud800", "a\udc2f..", "\udc00"):
            self.refused(text, "it has a surrogate that stands for no byte")


class AcceptanceTests(SynchronousTestCase):
    """What is plain passes."""

    def test_the_workspace_itself(self) -> None:
        for text in (".", "./", "././/."):
            self.assertEqual(workspace_path(text), b".")

    def test_names_that_only_look_special(self) -> None:
        for text in ("...", "..a", "a..", " ", "-rf", "$(id)", "a\nb", "'\"\\", "~", "\u202egnp.exe"):
            self.assertEqual(workspace_path(text), text.encode())

    def test_a_directory_asked_for_by_the_end_keeps_one_slash(self) -> None:
        for text in ("a/b/", "a/b//", "a/b/.", "a/./b/./"):
            self.assertEqual(workspace_path(text), b"a/b/")

    @given(st.lists(plain, min_size=1, max_size=10))
    def test_every_legal_name_comes_through_json_and_back(self, segments: list[bytes]) -> None:
        path = b"/".join(segments)
        carried = json.loads(json.dumps(display_name(path)))
        self.assertEqual(workspace_path(carried), path)


class PropertyTests(SynchronousTestCase):
    """Whatever the text."""

    @given(st.one_of(tricky, st.text()))
    @example("a/./../..")
    def test_what_is_accepted_stays_inside_and_is_canonical(self, text: str) -> None:
        try:
            path = workspace_path(text)
        except InvalidPath:
            return
        self.assertTrue((posixpath.normpath(b"/workspace/" + path) + b"/").startswith(b"/workspace/"))
        self.assertFalse(path.startswith(b"/"))
        self.assertNotIn(b"\0", path)
        segments = path.removesuffix(b"/").split(b"/")
        self.assertTrue(path == b"." or not {b"", b".", b".."} & set(segments))
        self.assertEqual(workspace_path(display_name(path)), path)

    @given(st.one_of(tricky, st.text()))
    def test_nothing_but_invalid_path_is_ever_raised(self, text: str) -> None:
        try:
            workspace_path(text)
        except InvalidPath as error:
            self.assertTrue(error.message.startswith("Invalid path: "))


class DocumentationTests(SynchronousTestCase):
    """The examples in the docstrings are true."""

    def test_examples(self) -> None:
        failures, attempted = doctest.testmod(paths)
        self.assertEqual(failures, 0)
        self.assertGreater(attempted, 0)
