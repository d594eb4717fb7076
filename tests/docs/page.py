"""A page's examples, run one after the other, as its reader would."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import ClassVar

import attrs
from twisted.trial.unittest import SynchronousTestCase

import sandbox
from tests.docs.shell import Shell
from tests.documents import Example, Step, examples
from tests.engine import ENGINE_URL


def make_environment(directory: Path) -> None:
    """A virtual environment with the ``sandbox`` and ``twistd`` that are tested, as ``pip install`` leaves them."""
    (directory / "bin").mkdir(parents=True)
    (directory / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (directory / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (directory / "bin" / "python3").symlink_to("python")
    packages = directory / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    packages.mkdir(parents=True)
    found = dict.fromkeys(
        [str(Path(sandbox.__file__).parents[1]), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    )
    (packages / "tested.pth").write_text("".join(f"{path}\n" for path in found))
    for name, run in (
        ("sandbox", "from sandbox.cli.main import main"),
        ("twistd", "from twisted.scripts.twistd import run as main"),
    ):
        program = directory / "bin" / name
        program.write_text(f"#!{directory}/bin/python -P\n{run}\nmain()\n")
        program.chmod(0o755)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class PageCase(SynchronousTestCase):
    """Runs every example of :attr:`page` that is to be run.

    :cvar page: its name below ``docs/``.
    :ivar meant: what stands in the page, and what is meant by it here: ports that are taken, and the like.
    :ivar directory: where the reader begins.
    """

    page: ClassVar[str]
    program: ClassVar[tuple[str, ...]] = ()
    timeout = 280

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="page-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.meant: dict[str, str] = {}
        make_environment(self.directory / ".venv")
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        self.environment = {
            **kept,
            "PATH": f"{self.directory}/.venv/bin:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "DOCKER_HOST": ENGINE_URL,
            "STATE_DIRECTORY": str(self.directory / "state"),
        }

    def run_page(self) -> None:
        """Run it; subclasses' ``test_…`` calls this."""
        self.shell = Shell(self.directory, self.environment, program=self.program)
        self.addCleanup(self.shell.close)
        ran = [example for example in examples(self.page) if example.runs]
        self.assertNotEqual(ran, [])
        self.before()
        for example in ran:
            self._try(example)

    def before(self) -> None:
        """What is there when the page begins."""

    def after(self, step: Step, printed: str) -> None:
        """Called after each command; what a reader looks at besides."""

    def _try(self, example: Example) -> None:
        place = f"{example.page}:{example.line}"
        if example.language == "console":
            steps = example.steps()
            for step in steps:
                command = self._meant(step.command)
                stays = bool(example.stays) and step is steps[-1]
                printed = self.shell.leave(command, example.stays) if stays else self.shell.run(command)[1]
                expected = attrs.evolve(step, output=self._meant(step.output))
                # Of a log, a page may say nothing.
                good = (stays and not step.output) or expected.agrees(printed)
                self.assertTrue(good, f"{place}\n$ {command}\n{printed}\ninstead of\n{expected.output}")
                self.after(step, printed)
            return
        text = self._meant(example.text)
        if example.language == "python":
            program = self.directory / f"example{example.line}.py"
            program.write_text(text)
            text = f"python3 -P -W error {shlex.quote(str(program))}"
        if example.stays:
            printed = self.shell.leave(text, example.stays)
        else:
            # Any line that fails ends it.
            status, printed = self.shell.run(f"set -e\n{text}\nset +e")
            self.assertEqual(status, 0, f"{place}\n{text}\n{printed}")
        self.after(Step(example.text, ""), printed)

    def _meant(self, text: str) -> str:
        for written, here in self.meant.items():
            text = text.replace(written, here)
        return text
