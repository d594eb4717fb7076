"""Settings: contract section 1."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError, parse, variables

KEY = {"INTERNAL_SERVICE_KEY": "secret"}


class Start(SynchronousTestCase):
    def test_the_key_is_enough_and_the_rest_has_the_contracts_defaults(self) -> None:
        settings = parse(KEY)
        self.assertEqual(
            (
                settings.port,
                settings.host,
                settings.internal_listen,
                settings.docker_host,
                settings.enable_preview_access_control,
                settings.jwt_secret,
            ),
            (4002, "127.0.0.1", None, "unix:///var/run/docker.sock", False, None),
        )
        self.assertTrue(settings.state_directory.startswith("/"))

    def test_without_the_key_the_error_names_it(self) -> None:
        for environment in ({}, {"INTERNAL_SERVICE_KEY": ""}, {"INTERNAL_SERVICE_KEY": "  "}):
            with self.assertRaisesRegex(SettingError, "INTERNAL_SERVICE_KEY"):
                parse(environment)

    def test_each_bad_value_is_one_line_that_names_the_variable(self) -> None:
        for name, value in {
            "PORT": "70000",
            "DOCKER_HOST": "/var/run/docker.sock",
            "DATABASE_URL": "mysql://x",
            "ENABLE_PREVIEW_ACCESS_CONTROL": "maybe",
            "ENGINE_THREADS": "0",
            "ENGINE_TIMEOUT": "nan",
            "SESSION_LABEL": "a b",
            "BODY_LIMIT": "١٠٢٤",
        }.items():
            with self.subTest(name), self.assertRaises(SettingError) as caught:
                parse({**KEY, name: value})
            message = str(caught.exception)
            self.assertIn(name, message)
            self.assertIn("must be", message)
            self.assertNotIn("\n", message)

    def test_access_control_needs_a_secret(self) -> None:
        with self.assertRaisesRegex(SettingError, "JWT_SECRET"):
            parse({**KEY, "ENABLE_PREVIEW_ACCESS_CONTROL": "true"})
        self.assertTrue(
            parse({**KEY, "ENABLE_PREVIEW_ACCESS_CONTROL": "true", "JWT_SECRET": "s"}).enable_preview_access_control
        )

    def test_a_secret_is_never_shown_in_an_error(self) -> None:
        with self.assertRaises(SettingError) as caught:
            parse({**KEY, "DATABASE_URL": "mysql://user:hunter2@host/db"})
        self.assertNotIn("hunter2", str(caught.exception))

    def test_every_variable_explains_itself(self) -> None:
        names = [variable.name for variable in variables()]
        self.assertEqual(len(names), len(set(names)))
        for variable in variables():
            self.assertTrue(variable.help.endswith("."), variable.name)
            self.assertTrue(variable.accepts, variable.name)
