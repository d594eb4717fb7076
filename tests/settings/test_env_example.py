"""etc/sandbox.env.example says what the settings say."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import parse, variables
from sandbox.settings.env_file import parse_with_file, read_env_file
from sandbox.settings.example import example

FILE = Path(__file__).parents[2] / "etc" / "sandbox.env.example"


class Example(SynchronousTestCase):
    def test_the_file_is_up_to_date(self) -> None:
        """``python -m sandbox.settings.example > etc/sandbox.env.example`` makes it so."""
        self.assertEqual(FILE.read_text("utf-8"), example())

    def test_as_it_is_only_the_key_is_missing(self) -> None:
        file = read_env_file(example())
        self.assertEqual({name: each.value for name, each in file.items()}, {"INTERNAL_SERVICE_KEY": ""})

    def test_what_is_commented_out_is_what_holds(self) -> None:
        file = read_env_file(re.sub(r"(?m)^#(?=[A-Z])", "", example()))
        self.assertEqual(list(file), [variable.name for variable in variables()])
        key = {"INTERNAL_SERVICE_KEY": "k"}
        del file["INTERNAL_SERVICE_KEY"]
        self.assertEqual(parse_with_file(key, "f", file), parse(key))
