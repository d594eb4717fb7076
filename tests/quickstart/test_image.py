"""Which image the tour uses, and when it is made anew."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path

from quickstart.console import Console, Failed
from quickstart.image import RECIPE, SessionImage, mmdebstrap_command, recipe_version
from twisted.trial.unittest import SynchronousTestCase

from tests.engine import ENGINE_URL, client, ensure_busybox


class RecipeTests(SynchronousTestCase):
    """The files in ``etc/image``."""

    def setUp(self) -> None:
        """Copy the recipe, to change it."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.copy = Path(folder.name, "image")
        shutil.copytree(RECIPE, self.copy)

    def test_same_files_same_version(self) -> None:
        """Wherever they are, and whenever they were written."""
        self.assertEqual(recipe_version(self.copy), recipe_version(RECIPE))
        self.assertRegex(recipe_version(RECIPE), r"\A[0-9a-f]{16}\Z")

    def test_any_change_makes_another_version(self) -> None:
        """A file's content, its name, a file more."""
        before = recipe_version(self.copy)
        versions = {before}
        with (self.copy / "packages.txt").open("a") as packages:
            packages.write("tree\n")
        versions.add(recipe_version(self.copy))
        (self.copy / "packages.txt").rename(self.copy / "packages")
        versions.add(recipe_version(self.copy))
        (self.copy / "more").touch()
        versions.add(recipe_version(self.copy))
        self.assertEqual(len(versions), 4)

    def test_both_ways_install_the_same(self) -> None:
        """The Dockerfile and mmdebstrap read one list of packages and run one script."""
        command = " ".join(mmdebstrap_command(Path("/node"), Path("/root.tar")))
        self.assertIn("--include=" + ",".join((RECIPE / "packages.txt").read_text().split()) + " ", command)
        self.assertIn("setup.sh", command)
        dockerfile = (RECIPE / "Dockerfile").read_text()
        for name in ("packages.txt", "setup.sh", "node.txt"):
            self.assertIn(name, dockerfile)


class SessionImageTests(SynchronousTestCase):
    """On the real engine."""

    def setUp(self) -> None:
        """Give an image that is there a name that nobody else has."""
        self.engine = client()
        self.addCleanup(self.engine.close)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.name = f"sandbox-test-{secrets.token_hex(6)}:1"
        repository, tag = self.name.split(":")
        self.engine.tag(ensure_busybox(self.engine), repository, tag)
        self.addCleanup(self.engine.remove_image, self.name)

    def image(self, name: str) -> SessionImage:
        """The image of that name."""
        return SessionImage(ENGINE_URL, name, Console(), {}, Path(self.folder.name))

    def test_image_of_somebody_else_is_used_as_it_is(self) -> None:
        """Whatever recipe it was made by: it is not ours to make anew."""
        before = self.engine.inspect_image(self.name)["Id"]
        self.image(self.name).ensure()
        self.assertEqual(self.engine.inspect_image(self.name)["Id"], before)

    def test_image_that_can_be_had_nowhere_is_told(self) -> None:
        """It is pulled only, never built under a name that is not ours; nobody listens on that registry's port."""
        failure = self.assertRaises(Failed, self.image("127.0.0.1:1/nothing:1").ensure)
        self.assertIn("127.0.0.1:1/nothing:1 (SESSION_IMAGE) is not there and cannot be pulled: ", str(failure))
