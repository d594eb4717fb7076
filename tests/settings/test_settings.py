"""Settings: contract section 1."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError, parse, variables, weak_secrets

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

    def test_a_key_that_no_header_can_carry_is_refused(self) -> None:
        for key in ("k\n", " k", "k ", "a\tb", "a\x00b", "a\udcffb"):
            with self.subTest(key), self.assertRaisesRegex(SettingError, "INTERNAL_SERVICE_KEY must be"):
                parse({"INTERNAL_SERVICE_KEY": key})
        for key in ("a b", "schlüssel", "k" * 1000):
            self.assertEqual(parse({"INTERNAL_SERVICE_KEY": key}).internal_service_key, key)

    def test_where_previews_are_found(self) -> None:
        settings = parse({**KEY, "PREVIEW_DOMAIN": "Preview.Example.NET", "PUBLIC_URL": "https://[::1]:8443/"})
        self.assertEqual((settings.preview_domain, settings.public_url), ("preview.example.net", "https://[::1]:8443"))
        for name, values in {
            "PREVIEW_DOMAIN": (
                "*.example.net",
                ".example.net",
                "example.net.",
                "-a.net",
                "a:80",
                "ä.net",
                "a." * 55 + "a",
            ),
            "PUBLIC_URL": (
                "example.net",
                "ftp://a",
                "https://a/path",
                "https://a?b",
                "https://u@a",
                "https://a:",
                "https://",
            ),
        }.items():
            for value in values:
                with self.subTest(value), self.assertRaisesRegex(SettingError, name):
                    parse({**KEY, name: value})

    def test_access_control_needs_a_secret(self) -> None:
        with self.assertRaisesRegex(SettingError, "JWT_SECRET"):
            parse({**KEY, "ENABLE_PREVIEW_ACCESS_CONTROL": "true"})
        self.assertTrue(
            parse({**KEY, "ENABLE_PREVIEW_ACCESS_CONTROL": "true", "JWT_SECRET": "s"}).enable_preview_access_control
        )

    def test_the_jwt_secret_is_one_as_it_is_or_several_newest_first(self) -> None:
        new, old = "n" * 32, "o" * 40
        for text, secrets in (
            ("s", (b"s",)),
            (" padded ", (b" padded ",)),
            ("José", "José".encode()),
            (new, (new.encode(),)),
            (f"{new},{old}", (new.encode(), old.encode())),
            (f" {new} , {old} ", (new.encode(), old.encode())),
        ):
            with self.subTest(text):
                expected = secrets if isinstance(secrets, tuple) else (secrets,)
                self.assertEqual(parse({**KEY, "JWT_SECRET": text}).jwt_secrets, expected)
        self.assertEqual(parse(KEY).jwt_secrets, ())

    def test_a_comma_makes_no_weak_secrets_of_a_strong_one(self) -> None:
        for text in ("a" * 40 + ",bc", "a" * 40 + ",", "," + "a" * 40, "a,b"):
            with self.subTest(text), self.assertRaisesRegex(SettingError, "JWT_SECRET must be"):
                parse({**KEY, "JWT_SECRET": text})

    def test_a_public_key_is_no_secret(self) -> None:
        for text in ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "ssh-rsa AAAA", '{"kty": "oct"}'):
            with self.subTest(text), self.assertRaisesRegex(SettingError, "JWT_SECRET must be") as caught:
                parse({**KEY, "JWT_SECRET": text})
            self.assertNotIn(text, str(caught.exception))

    def test_a_short_jwt_secret_is_weak(self) -> None:
        self.assertEqual(weak_secrets(parse({**KEY, "JWT_SECRET": "s" * 31})), ["JWT_SECRET"])
        for environment in (KEY, {**KEY, "JWT_SECRET": "s" * 32}):
            self.assertEqual(weak_secrets(parse(environment)), [])

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
