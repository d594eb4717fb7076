"""The commands in the pages that explain."""

from __future__ import annotations

import sqlite3
import subprocess

from sandbox.runtimes.docker.network import BRIDGE_OPTION, ensure_network
from sandbox.settings import parse
from tests.docs.page import PageCase
from tests.docs.shell import Shell
from tests.engine import Lab


class Previews(PageCase):
    page = "previews.md"

    def test_every_command(self) -> None:
        """The variables are taken by the daemon as they stand there."""
        self.run_page()
        _, printed = self.shell.run('echo "$PREVIEW_DOMAIN $PUBLIC_URL"')
        domain, url = printed.split()
        parse({"INTERNAL_SERVICE_KEY": "key", "PREVIEW_DOMAIN": domain, "PUBLIC_URL": url})


class Stores(PageCase):
    page = "stores.md"

    def test_every_command(self) -> None:
        """The backup has the row of a database that is in use."""
        database = sqlite3.connect(self.directory / "sandbox.db")
        self.addCleanup(database.close)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE sessions (id TEXT)")
        database.execute("INSERT INTO sessions VALUES ('demo')")
        database.commit()
        self.run_page()
        backup = sqlite3.connect(self.directory / "backup.db")
        self.addCleanup(backup.close)
        self.assertEqual(backup.execute("SELECT id FROM sessions").fetchall(), [("demo",)])


class Sessions(PageCase):
    page = "sessions.md"
    # Firewalls are a network namespace's own: this one's is nobody's.
    program = ("unshare", "--net")

    def test_every_command(self) -> None:
        """The rules are taken, for the bridge of the network, in an order that lets answers through."""
        lab = Lab()
        self.addCleanup(lab.close)
        name = f"sandbox-test-{lab.token}"
        found = ensure_network(lab.engine, parse({"INTERNAL_SERVICE_KEY": "x", "SESSION_NETWORK": name}), lab.token)
        self.addCleanup(lab.engine.remove_network, found["Id"])
        bridge = found["Options"][BRIDGE_OPTION]
        self.meant = {" sandbox)": f" {name})"}
        self.run_page()
        _, rules = self.shell.run("iptables -S INPUT; iptables -S DOCKER-USER")
        answers, drop = (rules.index(text) for text in ("ESTABLISHED", f"-A INPUT -i {bridge} -j DROP"))
        self.assertLess(answers, drop)
        self.assertIn(f"-A DOCKER-USER -d 169.254.0.0/16 -i {bridge} -j DROP", rules)

    def before(self) -> None:
        """The engine makes this chain, in the namespace in which it is."""
        status, printed = self.shell.run("iptables -N DOCKER-USER")
        self.assertEqual(status, 0, printed)


class Shells(PageCase):
    """The shell itself: it notices what it must notice."""

    page = "stores.md"

    def test_failure_of_a_line_ends_a_block(self) -> None:
        """A page's block that fails in its middle fails the test."""
        (self.directory / "sandbox.db").write_bytes(b"no database" * 100)
        error = self.assertRaises(AssertionError, self.run_page)
        self.assertIn("not a database", str(error))

    def test_nothing_that_was_started_stays(self) -> None:
        """A program in a terminal of its own is gone when the page is over."""
        shell = Shell(self.directory, self.environment)
        shell.leave("echo $BASHPID ready; exec sleep 600", "ready")
        pid = (self.directory / ".terminal1").read_text().split()[0]
        self.assertEqual(subprocess.run(["kill", "-0", pid], check=False).returncode, 0)
        shell.close()
        self.assertNotEqual(subprocess.run(["kill", "-0", pid], check=False, capture_output=True).returncode, 0)
