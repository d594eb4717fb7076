"""``ls ID:PATH``, ``stat ID:PATH``, ``cp`` and ``edit``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.cli.addresses import Address
from sandbox.cli.copying import Copy as Copied
from sandbox.cli.copying import Directory, _tree, _write
from sandbox.cli.failures import Failure
from tests.cli.command import PROGRAM, CommandCase, clean


def remove(tree: Path) -> None:
    """Remove a tree that is deeper than Python's own way goes."""
    subprocess.run(["rm", "-r", tree], check=True)


class FilesCase(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.good("up", "demo")

    def tree(self, root: Path) -> dict[str, str]:
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


class Look(FilesCase):
    def test_ls_lists_a_directory(self) -> None:
        self.write("src/app.py", "print()\n")
        self.write(".hidden", "")
        self.shell("ln -s src link")
        for place in ("demo", "demo:", "demo:.", "demo:/workspace"):
            rows = [line.split() for line in self.good("ls", place).splitlines()]
            self.assertEqual(rows[0], ["T", "SIZE", "MODIFIED", "NAME"])
            self.assertEqual([(row[0], row[-1]) for row in rows[1:]], [("-", ".hidden"), ("l", "link"), ("d", "src/")])
        self.assertEqual(self.good("ls", "-q", "demo:src"), "app.py\n")
        (entry,) = self.values("ls", "demo:/workspace/src/")
        self.assertEqual((entry["name"], entry["type"], entry["size"]), ("app.py", "file", 8))

    def test_stat_shows_what_a_path_is(self) -> None:
        self.write("src/app.py", "print()\n")
        lines = dict(line.split(maxsplit=1) for line in self.good("stat", "demo:src/app.py").splitlines())
        self.assertEqual((lines["type"], lines["size"]), ("file", "8"))
        self.assertEqual(self.values("stat", "demo:src")["type"], "directory")
        self.assertIn("no such file", self.bad("stat", "demo:missing"))
        self.assertEqual(json.loads(self.bad("stat", "--json", "demo:missing"))["error"]["code"], "FILE_NOT_FOUND")
        self.assertIn("relative to /workspace", self.bad("stat", "demo:/etc/passwd"))

    def test_names_cannot_play_with_the_terminal(self) -> None:
        self.shell("touch \"$(printf 'a\\033]0;x\\007\\nb')\" \"$(printf '\\377')\"")
        shown = self.good("ls", "-q", "demo")
        self.assertEqual(sorted(shown.splitlines()), ["\\udcff", "a\\x1b]0;x\\x07\\nb"])
        self.assertEqual(sorted(self.values("ls", "-q", "demo")), ["a\x1b]0;x\x07\nb", "\udcff"])
        self.assertNotIn("\x1b", self.bad("stat", "demo:\x1b[2J"))


class Copy(FilesCase):
    def test_a_file_goes_in_and_comes_out(self) -> None:
        (self.work / "a b").write_bytes("é\r\n\0".encode())
        self.good("cp", "a b", "demo:dir/c d")
        self.assertEqual(self.read("dir/c%20d"), "é\r\n\0")
        self.good("cp", "demo:dir/c d", "back")
        self.assertEqual((self.work / "back").read_bytes(), "é\r\n\0".encode())
        self.assertEqual(self.values("cp", "a b", "demo:x"), {"files": 1, "bytes": 5})

    def test_a_directory_gets_the_file_below_it(self) -> None:
        (self.work / "f").write_text("1")
        self.write("there/x", "")
        for target in ("demo:", "demo:there", "demo:new/"):
            self.good("cp", "f", target)
        self.assertEqual([self.read(path) for path in ("f", "there/f", "new/f")], ["1", "1", "1"])
        (self.work / "here").mkdir()
        self.good("cp", "demo:there/f", "here")
        self.good("cp", "demo:there/f", "made/")
        self.assertEqual(self.tree(self.work), {"f": "1", "here/f": "1", "made/f": "1"})

    def test_trees_go_in_and_come_out(self) -> None:
        for name, text in (("top/a", "1"), ("top/sub/.b", "2"), ("top/sub/deep/c", "3")):
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        self.assertIn("-r copies it", self.bad("cp", "top", "demo:"))
        self.good("cp", "-r", "top", "demo:")
        self.assertEqual([self.read(path) for path in ("top/a", "top/sub/.b", "top/sub/deep/c")], ["1", "2", "3"])
        self.good("cp", "-r", "top", "demo:other")
        self.assertEqual(self.read("other/sub/deep/c"), "3")
        self.assertIn("-r copies it", self.bad("cp", "demo:top", "back"))
        self.good("cp", "-r", "demo:top", "back")
        self.assertEqual(self.tree(self.work / "back"), {"a": "1", "sub/.b": "2", "sub/deep/c": "3"})
        self.good("cp", "-r", "demo:", "back")
        self.assertEqual((self.work / "back" / "demo" / "top" / "a").read_text(), "1")

    def test_f47_a_tree_has_a_limit_on_either_side(self) -> None:
        for name in ("top/a", "top/sub/b", "top/sub/c"):
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(name)
        message = self.bad("cp", "-r", "--limit", "3", "top", "demo:")
        self.assertIn("more than 3 entries", message)
        self.assertIn("--limit allows more", message)
        self.assertEqual(self.good("ls", "-q", "demo"), "", "nothing is copied")
        self.good("cp", "-r", "--limit", "4", "top", "demo:")
        self.assertIn("more than 3 entries", self.bad("cp", "-r", "--limit", "3", "demo:top", "back"))
        self.assertFalse((self.work / "back").exists())
        self.good("cp", "-r", "--limit", "4", "demo:top", "back")
        self.shell("ln -s a top/link")
        self.assertIn("more than 4 entries", self.bad("cp", "-r", "--limit", "4", "demo:top", "more"), "links count")

    def test_f47_a_tree_may_be_deeper_than_pythons_stack(self) -> None:
        path = self.work / "top"
        path.mkdir()
        self.addCleanup(remove, path)
        for _ in range(1200):
            path /= "d"
            path.mkdir()
        (path / "f").write_text("deep")
        self.assertEqual(self.values("cp", "-r", "top", "demo:"), {"files": 1, "bytes": 4})
        self.assertEqual(self.shell("find top -name f | wc -c"), f"{len('top/') + 1200 * len('d/') + len('f') + 1}\n")

    def test_f47_a_directory_that_may_not_be_read_is_named(self) -> None:
        (self.work / "top" / ("n" * 200)).mkdir(parents=True)
        self.addCleanup(remove, self.work / "top")
        # Deeper than a path may be long: scandir says so, whoever asks.
        place = os.open(self.work / "top" / ("n" * 200), os.O_RDONLY)
        for _ in range(22):
            os.mkdir("n" * 200, dir_fd=place)
            below = os.open("n" * 200, os.O_RDONLY, dir_fd=place)
            os.close(place)
            place = below
        os.close(place)
        message = self.bad("cp", "-r", "top", "demo:")
        self.assertIn("File name too long", message)
        self.assertIn("Nothing was copied", message)

    def test_links_are_left_out_and_told(self) -> None:
        (self.work / "top").mkdir()
        (self.work / "top" / "a").write_text("1")
        (self.work / "top" / "link").symlink_to("/etc/passwd")
        done = self.run_it("cp", "-r", "top", "demo:")
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertIn(b"top/link", done.stderr)
        self.shell("ln -s /etc/passwd top/outward; mkfifo top/pipe")
        done = self.run_it("cp", "-r", "demo:top", "back")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"outward", done.stderr)
        self.assertIn(b"pipe", done.stderr)
        self.assertEqual(self.tree(self.work / "back"), {"a": "1"})

    def test_standard_input_and_output(self) -> None:
        self.good("cp", "-", "demo:f", stdin="é\n".encode())
        self.assertEqual(self.run_it("cp", "demo:f", "-").stdout, "é\n".encode())
        self.assertIn("name the file", self.bad("cp", "-", "demo:", stdin=b"x"))
        self.assertIn("not UTF-8", self.bad("cp", "-", "demo:g", stdin=b"\xff"))

    def test_what_is_not_text_is_refused_before_anything_is_sent(self) -> None:
        (self.work / "top").mkdir()
        (self.work / "top" / "a").write_text("1")
        # A character that the pieces of a long file would cut, and one that the end cuts.
        (self.work / "long").write_bytes(b"x" * ((1 << 20) - 1) + "é".encode())
        (self.work / "top" / "z.png").write_bytes(b"\x89PNG")
        (self.work / "cut").write_bytes("é".encode()[:1])
        self.assertIn("top/z.png is not UTF-8 text", self.bad("cp", "-r", "top", "demo:"))
        self.assertIn("Nothing was copied", self.bad("cp", "cut", "demo:"))
        self.assertEqual(self.good("ls", "-q", "demo"), "")
        self.good("cp", "long", "demo:")

    def test_what_is_not_text_in_the_session_keeps_nothing_else_from_coming_out(self) -> None:
        self.shell("mkdir d; echo 1 >d/a; printf '\\377' >d/b; echo 3 >d/c")
        message = self.bad("cp", "-r", "demo:d", "back")
        self.assertIn("demo:d/b", message)
        self.assertIn("base64", message)
        self.assertEqual(self.tree(self.work / "back"), {"a": "1\n", "c": "3\n"})

    def test_what_does_not_go_says_why(self) -> None:
        self.assertIn("missing: no such file", self.bad("cp", "missing", "demo:"))
        self.assertIn("no such file", self.bad("cp", "demo:missing", "x"))
        os.mkfifo(self.work / "pipe")
        self.assertIn("not a regular file", self.bad("cp", "pipe", "demo:"))
        self.assertIn("exactly one", self.bad("cp", "demo:a", "demo:b", status=2))
        (self.work / "demo:a").write_text("colon")
        self.good("cp", "./demo:a", "demo:b")
        self.assertEqual(self.read("b"), "colon")
        (self.work / "big").write_bytes(b"x" * (10 * 1024 * 1024 + 1))
        self.assertIn("10 MiB", self.bad("cp", "big", "demo:"))

    def test_progress_is_drawn_for_who_watches_a_terminal(self) -> None:
        (self.work / "f").write_text("x" * 1000)
        ours, theirs = pty.openpty()
        environment = clean({**self.environment, "TERM": "xterm"})
        with os.fdopen(ours, "rb", buffering=0) as screen:
            done = subprocess.run(
                [*PROGRAM, "cp", "f", "demo:"],
                check=False,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=theirs,
                cwd=self.work,
                timeout=60,
            )
            os.close(theirs)
            drawn = b""
            try:
                while piece := screen.read(65536):
                    drawn += piece
            except OSError:
                pass  # how a terminal whose other end is closed says so
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertIn(b"Copying to demo", drawn)


class Deep(SynchronousTestCase):
    """F47: what a session may make as deep as it likes, without a session."""

    def test_f47_the_walk_does_not_recurse(self) -> None:
        def entries(directory: Directory) -> Iterator[Copied | Directory | None]:
            depth = len(directory.local.parts)
            yield Copied(directory.local / "f", directory.remote.below("f"), depth)
            if depth < 3000:
                yield Directory(directory.local / "d", directory.remote.below("d"))

        found = _tree(Directory(Path("d"), Address("demo", "d")), entries, 10_000)
        self.assertEqual([copy.size for copy in found], list(range(1, 3001)))

    def test_f47_directories_are_made_without_recursion(self) -> None:
        top = Path(self.mktemp()).absolute()
        self.addCleanup(remove, top)
        path = top.joinpath(*["d"] * 1200, "f")
        _write(path, b"deep")
        self.assertEqual(path.read_bytes(), b"deep")
        (top / "file").write_bytes(b"")
        self.assertRaises(Failure, _write, top / "file" / "below" / "f", b"")


class Edit(FilesCase):
    def editor(self, script: str) -> str:
        """The name of an editor that runs a shell script on ``$1``."""
        program = self.work / "an editor"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        return f"'{program}'"

    def test_a_file_is_changed_in_the_session(self) -> None:
        self.write("src/app.py", "one\r\nno end")
        out = self.good(
            "edit", "demo:src/app.py", EDITOR=self.editor('case $1 in */app.py) sed -i s/one/two/ "$1";; esac')
        )
        self.assertEqual(out, "")
        self.assertEqual(self.read("src/app.py"), "two\r\nno end")

    def test_visual_goes_before_editor_and_may_have_arguments(self) -> None:
        self.write("f", "a")
        self.good("edit", "demo:f", EDITOR="false", VISUAL=self.editor('printf %s "$1" >"$2"') + " given")
        self.assertEqual(self.read("f"), "given")

    def test_what_was_not_changed_is_not_written(self) -> None:
        self.write("f", "a")
        before = self.values("stat", "demo:f")["modifiedAt"]
        done = self.run_it("edit", "demo:f", EDITOR="true")
        self.assertEqual((done.returncode, done.stderr), (0, b"Not changed.\n"))
        self.assertEqual(self.values("stat", "demo:f")["modifiedAt"], before)

    def test_a_new_file_is_made_when_something_is_written(self) -> None:
        self.assertEqual(self.run_it("edit", "demo:new", EDITOR="true").returncode, 0)
        self.assertIn("no such file", self.bad("stat", "demo:new"))
        self.assertEqual(self.values("edit", "demo:new", EDITOR=self.editor('printf abc >"$1"'))["size"], 3)
        self.assertEqual(self.read("new"), "abc")

    def test_what_was_changed_meanwhile_is_not_overwritten_and_the_edit_is_kept(self) -> None:
        self.write("f", "before")
        url = f"{self.environment['SANDBOX_URL']}/api/internal/sessions/demo/files"
        python = f"""
import http.client, json, sys
connection = http.client.HTTPConnection({self.environment["SANDBOX_URL"][7:]!r})
body = json.dumps({{"path": "f", "content": "theirs"}})
connection.request("POST", {url!r}, body, {{"X-Internal-Service-Key": {self.environment["INTERNAL_SERVICE_KEY"]!r}}})
connection.getresponse().read()
open(sys.argv[1], "w").write("mine")
"""
        (self.work / "change.py").write_text(python)
        message = self.bad("edit", "demo:f", EDITOR=f"{PROGRAM[0]} {self.work}/change.py")
        self.assertIn("changed meanwhile", message)
        self.assertEqual(self.read("f"), "theirs")
        kept = Path(message.rpartition("What you wrote is in ")[2].strip())
        self.assertEqual(kept.read_text(), "mine")
        kept.unlink()
        kept.parent.rmdir()

    def test_editors_that_fail_change_nothing(self) -> None:
        self.write("f", "a")
        for editor, words in ((self.editor("echo x >$1; exit 3"), "status 3"), ("/no/such/editor", "cannot be run")):
            message = self.bad("edit", "demo:f", EDITOR=editor)
            self.assertIn(words, message)
            self.assertEqual(self.read("f"), "a")
        self.assertIn("UTF-8", self.bad("edit", "demo:f", EDITOR=self.editor("printf '\\377' >$1")))
        self.shell("printf '\\377' >f")
        self.assertIn("base64", self.bad("edit", "demo:f", EDITOR="true"))
