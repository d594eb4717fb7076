"""The pages about deployment, typed on the server from the first line to the last."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.deployment.server import INSTEAD, Server
from tests.docs.shell import Shell
from tests.documents import Step, steps


def type_page(server: Server, page: str) -> str:
    """Type all commands of a page into one shell on the server, up to one that does not go as the page says; that one.

    Each has to end with status 0. An output that is ``…`` and nothing else may be any.
    """
    done = steps(page)
    with tempfile.TemporaryDirectory() as directory:
        shell = Shell(Path(directory), dict(os.environ), program=server.shell, limit=120)
        try:
            for step in done:
                status, printed = shell.run(INSTEAD.get(step.command, step.command))
                if status or not _agrees(step, printed):
                    log = server.run("journalctl -u sandbox -o cat | tail -n 15", check=False)
                    told = f"exit status {status}\n{printed}\ninstead of\n{step.output}\n{log}"
                    return f"{page}: $ {step.command}\n{told}"
        finally:
            shell.close()
    return "" if len(done) > 10 else f"{page} has lost its commands"


def _agrees(step: Step, printed: str) -> bool:
    return step.output == "…\n" or step.agrees(printed)
