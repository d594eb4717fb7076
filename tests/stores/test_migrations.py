"""Numbered SQL files, and the decision what to run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError
from sandbox.stores.migrations import Migration, migrations, pending, statements

STEPS = [Migration(n, f"step{n}", "") for n in (1, 2, 3)]


class MigrationTests(SynchronousTestCase):
    """The files that we ship."""

    def test_both_databases_have_the_same_steps(self) -> None:
        names = [[(step.version, step.name) for step in migrations(dialect)] for dialect in ("sqlite", "postgres")]
        self.assertEqual(names[0], names[1])
        self.assertEqual([version for version, _ in names[0]], list(range(1, len(names[0]) + 1)))

    def test_every_file_is_of_whole_statements(self) -> None:
        for step in migrations("sqlite"):
            for statement in statements(step.sql):
                self.assertRegex(statement, r"(?s)\A[A-Z].*;\Z")


class PendingTests(SynchronousTestCase):
    """What is still to run."""

    def test_an_empty_database_runs_everything(self) -> None:
        self.assertEqual(pending(STEPS, None, occupied=False), STEPS)

    def test_a_database_of_a_version_runs_what_came_after(self) -> None:
        for version in range(4):
            self.assertEqual(pending(STEPS, version, occupied=True), STEPS[version:])

    def test_a_newer_database_is_refused(self) -> None:
        error = self.assertRaises(SettingError, pending, STEPS, 4, occupied=True)
        self.assertIn("newer version (its schema is 4, this one knows 3)", str(error))

    def test_a_sessions_table_that_is_not_ours_is_refused(self) -> None:
        error = self.assertRaises(SettingError, pending, STEPS, None, occupied=True)
        self.assertIn("SESSIONS_READ_ONLY=true", str(error))


class StatementsTests(SynchronousTestCase):
    """Files into statements."""

    def test_comments_go_and_a_statement_may_have_lines(self) -> None:
        self.assertEqual(list(statements("-- a;\nA\n  B;\n\n-- c\nC;\n")), ["A\n  B;", "C;"])

    def test_a_file_that_ends_amid_a_statement_is_refused(self) -> None:
        self.assertRaises(ValueError, list, statements("A;\nB"))

    @given(st.lists(st.text("ab,( \n", min_size=1).filter(str.strip)))
    def test_what_was_joined_comes_apart_again(self, parts: list[str]) -> None:
        self.assertEqual(
            list(statements("".join(f"{part};\n" for part in parts))), [f"{part};".strip() for part in parts]
        )
