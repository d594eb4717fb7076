"""Files of variables: what systemd reads, and an error for what it would ignore."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError, parse
from sandbox.settings.changes import change
from sandbox.settings.env_file import parse_with_file, read_env_file

#: Each of these is also read by systemd itself, in tests/deployment.
READ = (
    ("A=b", "b"),
    ("  A = b c  ", "b c"),
    ("A=", ""),
    ("A=''", ""),
    ("A=b # c", "b # c"),
    ("A=b'c' \"d\"", "b'c' \"d\""),
    ("A='b \"c\" \\d'", 'b "c" \\d'),
    ("A='b\n c'", "b\n c"),
    ('A="b \\"c\\" \\\\ \\$d \\` \\e"', 'b "c" \\ $d ` \\e'),
    ('A="b\\\nc"', "bc"),
    ("A=b\\\nc", "bc"),
    ("A=b\\ ", "b "),
    ("A=\\ b", " b"),
    ("A=b\\\\c\\d", "b\\cd"),
    ("A=$B ${C} $(d)", "$B ${C} $(d)"),
    ("A=1\nA=2", "2"),
    ("A=b\r", "b"),
    ("# A=1\n; A=2\n\n \t\nA=3", "3"),
    ("A=ä=ö", "ä=ö"),
)
KEY = {"INTERNAL_SERVICE_KEY": "secret"}


class Reading(SynchronousTestCase):
    def test_values_are_what_systemd_makes_of_them(self) -> None:
        for text, value in READ:
            with self.subTest(text):
                self.assertEqual({name: each.value for name, each in read_env_file(text + "\n").items()}, {"A": value})
                self.assertEqual(read_env_file(text)["A"].value, value)

    def test_what_is_no_assignment_is_an_error_that_names_its_line(self) -> None:
        for text in (
            "A",
            "=b",
            "a-b=c",
            "export A=b",
            "A='hush",
            'A="hush',
            "A=hush\\",
            "A='hush' c",
            "A=hu\0sh",
            "\ufeffA=b",
        ):
            with self.subTest(text), self.assertRaises(ValueError) as caught:
                read_env_file(f"# first\n\nX='second\nline'\n{text}")
            self.assertIn("line 5 ", str(caught.exception))
            self.assertNotIn("hush", str(caught.exception))

    def test_lines_are_counted_where_they_begin(self) -> None:
        found = read_env_file("A=1\n\nB='x\ny'\nC=3\n")
        self.assertEqual({name: each.line for name, each in found.items()}, {"A": 1, "B": 3, "C": 5})


class Parsing(SynchronousTestCase):
    def test_the_file_goes_before_the_environment(self) -> None:
        file = read_env_file("PORT=2\nOTHER=x\n")
        settings = parse_with_file({**KEY, "PORT": "1", "HOST": "::1"}, "f", file)
        self.assertEqual((settings.port, settings.host), (2, "::1"))

    def test_a_wrong_value_is_told_with_file_and_line(self) -> None:
        for text, words in (
            ("\nPORT=x", "f: line 2: PORT must be"),
            ("ENABLE_PREVIEW_ACCESS_CONTROL=on", "f: JWT_SECRET is required"),
        ):
            with self.assertRaisesRegex(SettingError, words):
                parse_with_file(KEY, "f", read_env_file(text))

    def test_nothing_in_the_file_unsets(self) -> None:
        self.assertEqual(parse_with_file({**KEY, "PORT": "1"}, "f", read_env_file("PORT=")).port, 4002)


class Changes(SynchronousTestCase):
    def test_keys_are_taken_and_the_rest_waits(self) -> None:
        old = parse({**KEY, "PORT": "1"})
        found = change(old, parse({"INTERNAL_SERVICE_KEY": "other", "PORT": "2"}))
        self.assertEqual((found.settings.internal_service_key, found.settings.port), ("other", 1))
        self.assertEqual((found.taken, found.waiting), (("INTERNAL_SERVICE_KEY",), ("PORT",)))

    def test_nothing_changed(self) -> None:
        self.assertEqual((change(parse(KEY), parse(KEY)).taken, change(parse(KEY), parse(KEY)).waiting), ((), ()))

    def test_what_is_taken_has_to_agree_with_what_stays(self) -> None:
        old = parse({**KEY, "ENABLE_PREVIEW_ACCESS_CONTROL": "on", "JWT_SECRET": "s" * 32})
        with self.assertRaisesRegex(SettingError, "JWT_SECRET is required"):
            change(old, parse(KEY))
