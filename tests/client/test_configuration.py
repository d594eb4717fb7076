"""Where the daemon is and with which key."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.client.configuration import Configuration, configuration_path, connect, load_configuration
from sandbox.client.errors import ConfigurationError
from sandbox.client.origin import checked_key, parse_origin


class ConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.environment = {"SANDBOX_CONFIG": str(self.path)}

    def write(self, text: str, mode: int = 0o600) -> None:
        self.path.write_text(text)
        self.path.chmod(mode)

    def refused(self) -> str:
        return str(self.assertRaises(ConfigurationError, load_configuration, self.environment))

    def test_without_anything_it_is_the_daemons_default_and_no_key(self) -> None:
        self.assertEqual(load_configuration(self.environment), Configuration(url="http://127.0.0.1:4002"))
        self.assertIn("INTERNAL_SERVICE_KEY", str(self.assertRaises(ConfigurationError, connect, self.environment)))

    def test_the_environment_goes_before_the_file_value_by_value(self) -> None:
        self.write('url = "http://file:1"\nkey = "file-key"\nuser = "file-user"\n')
        self.environment |= {"SANDBOX_URL": "http://variable:2", "SANDBOX_USER": ""}
        found = load_configuration(self.environment)
        self.assertEqual((found.url, found.key, found.user), ("http://variable:2", "file-key", "file-user"))
        self.environment["INTERNAL_SERVICE_KEY"] = "variable-key"
        self.assertEqual(load_configuration(self.environment).key, "variable-key")

    def test_the_key_is_not_shown(self) -> None:
        self.assertNotIn("file-key", repr(Configuration(key="file-key")))

    def test_a_key_that_others_can_read_is_refused_with_what_to_do(self) -> None:
        for mode in (0o640, 0o604, 0o620, 0o602):
            self.write('key = "k"', mode)
            self.assertIn(f"chmod 600 {self.path}", self.refused())

    def test_a_file_without_a_key_may_be_read_by_all(self) -> None:
        self.write('url = "http://h:1"', 0o644)
        self.assertEqual(load_configuration(self.environment).url, "http://h:1")

    def test_a_wrong_file_is_named(self) -> None:
        for text in ("url", "url = 3", 'url = ""', 'adress = "http://h"', "[key]\na = 1", "\0"):
            self.write(text)
            self.assertIn(str(self.path), self.refused(), text)

    def test_it_is_where_the_xdg_specification_says(self) -> None:
        self.assertEqual(
            [
                str(configuration_path(environment))
                for environment in ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, {"HOME": "/h"}, {})
            ],
            ["/c/sandbox/config.toml", "/h/.config/sandbox/config.toml", "/.config/sandbox/config.toml"],
        )


class OriginTests(SynchronousTestCase):
    def test_urls_that_name_a_place(self) -> None:
        for text, url, secure in (
            ("http://127.0.0.1:4002", "http://127.0.0.1:4002/t", True),
            ("http://Sandbox.example", "http://sandbox.example:80/t", False),
            ("https://h/", "https://h:443/t", True),
            ("https://h:8443/a/b/", "https://h:8443/a/b/t", True),
            ("http://[::1]:80", "http://[::1]:80/t", True),
            ("unix:/run/s.sock", "http://localhost:80/t", True),
            ("unix:///run/s.sock", "http://localhost:80/t", True),
        ):
            origin = parse_origin(text)
            self.assertEqual((origin.url("/t"), origin.secure), (url, secure))

    def test_other_texts_are_refused(self) -> None:
        for text in (
            *("", "localhost:4002", "ftp://h", "http://", "http://h:0", "http://h:70000", "http://h:x", "http://h?a=b"),
            *("http://h#f", "http://u:p@h", "http://h\r\nX: y", "http://h /", "unix:", "unix:run/x", "http://[::1"),
        ):
            with self.subTest(text):
                self.assertRaises(ConfigurationError, parse_origin, text)

    def test_keys_that_a_header_cannot_carry_are_refused_and_not_shown(self) -> None:
        self.assertEqual(checked_key("schlüssel"), "schlüssel")
        for key in ("", " secret", "secret\n", "sec\r\nret", "secret\0", "secret\udcff"):
            error = self.assertRaises(ConfigurationError, checked_key, key)
            self.assertNotIn("secret", str(error))
