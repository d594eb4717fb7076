"""docs/how-to/, each page against a daemon that its own commands start."""

from __future__ import annotations

import os
import secrets
import uuid

from tests.docs.page import PageCase, free_port
from tests.engine import Lab
from tests.postgres import binary, server
from tests.session_image import ensure_session_image


class HowTo(PageCase):
    """A daemon on a port of its own, and sessions that are removed whatever happens."""

    session = "demo"

    def setUp(self) -> None:
        super().setUp()
        ensure_session_image()
        port = str(free_port())
        self.environment |= {"PORT": port, "SANDBOX_URL": f"http://127.0.0.1:{port}", "SANDBOX_USER": "alice"}
        self.meant = {"4002": port}
        lab = Lab()
        self.addCleanup(lab.close)
        # The daemon's label is the default one, as the pages say; others use it on the same engine.
        self.own = self.new_id()
        self.meant[self.session] = self.own
        self.addCleanup(lab.remove_session, self.own)

    def new_id(self) -> str:
        """An id that nobody else has."""
        return f"{self.session}-{secrets.token_hex(4)}"

    def use_postgres(self, *names: str) -> None:
        """Have the server's programs and the page's URLs lead to the tests' server, where these do not exist yet."""
        postgres = server()
        self.environment |= {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
        }
        self.environment["PATH"] += ":" + os.path.dirname(binary("pg_dump"))
        self.meant["5432"] = str(postgres.port)
        for name in names:
            self.addCleanup(postgres.execute, f"DROP ROLE IF EXISTS {name}")
            self.addCleanup(postgres.execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class PostgreSQL(HowTo):
    page = "how-to/postgresql.md"

    def test_every_command(self) -> None:
        """Role, database, daemon, backup."""
        self.use_postgres("sandbox")
        self.run_page()


class ExistingPlatform(HowTo):
    page = "how-to/existing-platform.md"
    session = "6f1d0f2c-0b1e-4a52-9a35-1d2d8a5f0c11"

    def new_id(self) -> str:
        """A UUID, as the page's table wants it."""
        return str(uuid.uuid4())

    def test_every_command(self) -> None:
        """View, role, daemon, the platform's container, tokens."""
        self.use_postgres("platform_reader", "platform")
        self.run_page()


class Upgrade(HowTo):
    page = "how-to/upgrade.md"

    def test_every_command(self) -> None:
        """A session outlives the daemon; its registration does not."""
        (self.directory / "sandbox.env").write_text(f"INTERNAL_SERVICE_KEY={secrets.token_hex(32)}\n")
        self.run_page()

    def before(self) -> None:
        """The old daemon, and who uses it."""
        self.shell.leave("twistd -n --pidfile=sandbox.pid sandbox --env-file sandbox.env", "ready on")
        self.shell.run("set -a && . ./sandbox.env")


class Monitor(HowTo):
    page = "how-to/monitor.md"

    def test_every_command(self) -> None:
        """What the daemon says of itself."""
        self.run_page()


class GVisor(HowTo):
    page = "how-to/gvisor.md"

    def test_every_command(self) -> None:
        """What the doctor says where the runtime is missing."""
        self.environment["INTERNAL_SERVICE_KEY"] = secrets.token_hex(32)
        self.run_page()
