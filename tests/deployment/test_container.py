"""docs/how-to/container.md: the daemon and PostgreSQL in containers, by the page's own commands."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.deployment.pages import type_page
from tests.deployment.server import Server, server


class Contained(SynchronousTestCase):
    server: ClassVar[Server]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = server()
        # Another page may have put a daemon there, and sessions of it.
        cls.server.run("systemctl disable --now --quiet sandbox.socket sandbox.service || true")
        cls.server.run("docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes")
        cls.server.run("docker tag sandbox-test-busybox:1 sandbox-session:latest")

    def test_the_page_is_true(self) -> None:
        failure = type_page(self.server, "how-to/container.md")
        self.assertEqual(failure, "", failure)
        # `docker run --rm` comes back before the engine has removed the container.
        wait = 'for each in $(seq 100); do [ -z "$(docker ps --all --quiet)" ] && break; sleep 0.2; done'
        self.assertEqual(self.server.run(f"{wait}; docker ps --all --format '{{{{.Image}}}} {{{{.Names}}}}'"), "")
        self.assertEqual(self.server.run("docker run --rm sandbox id --user --name"), "sandbox\n")
