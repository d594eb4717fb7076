"""Contract section 3, row by row, over HTTP. What file systems do is the runtime suites' business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, quote_from_bytes

from tests.api.stage import Answer, ApiCase

READS = ("files", "dirs", "stat")
VERBS = {"files": "read file", "dirs": "list directory", "stat": "stat path"}


class Files(ApiCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.container = await self.session()

    async def get(self, what: str, path: str) -> Answer:
        return await self.call("GET", f"sessions/s1/{what}?path={quote(path, safe='')}")

    async def write(self, path: str, content: str) -> Answer:
        return await self.call("POST", "sessions/s1/files", {"path": path, "content": content})

    async def test_a_file_is_written_and_read(self) -> None:
        written = await self.write("a/b c.txt", "grüße\n")
        self.assertEqual((written.status, written.json), (201, {"path": "a/b c.txt", "size": 8}))
        read = await self.get("files", "a/b c.txt")
        self.assertEqual(read.status, 200)
        self.assertRegex(read.json.pop("modifiedAt"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(
            read.json | {"modifiedAt": ""}, {"path": "a/b c.txt", "content": "grüße\n", "size": 8, "modifiedAt": ""}
        )

    async def test_empty_content_is_fine(self) -> None:
        self.assertEqual((await self.write("empty", "")).json["size"], 0)
        self.assertEqual((await self.get("files", "empty")).json["content"], "")

    async def test_any_name_and_any_content(self) -> None:
        for name in ("-rf", "$(id)", "new\nline", "quote'\"", "tab\t", "ü" * 127, " ", "\u202e"):
            with self.subTest(name):
                self.assertEqual((await self.write(name, name)).status, 201)
                self.assertEqual((await self.get("files", name)).json["content"], name)
        names = [entry["name"] for entry in (await self.get("dirs", ".")).json["entries"]]
        self.assertIn("new\nline", names)

    async def test_content_beyond_128_kib(self) -> None:
        content = "x" * 300_000
        self.assertEqual((await self.write("big", content)).status, 201)
        self.assertEqual((await self.get("files", "big")).json["content"], content)

    async def test_a_file_that_is_not_utf8(self) -> None:
        self.agents.workspace(self.container).write(b"binary", b"\xff\xfe")
        answer = await self.get("files", "binary")
        self.assert_refused(answer, 500, "Failed to read file: the file is not UTF-8 text: binary", "NOT_UTF8")

    async def test_a_name_that_is_not_utf8_is_listed_and_read_with_its_escapes(self) -> None:
        self.agents.workspace(self.container).write(b"odd\xff", b"x")
        (entry,) = (await self.get("dirs", ".")).json["entries"]
        self.assertEqual(entry["name"], "odd\udcff")
        read = await self.call("GET", f"sessions/s1/files?path={quote_from_bytes(b'odd' + bytes([255]))}")
        self.assertEqual(read.json["content"], "x")
        written = await self.write("odd\udcff", "y")
        self.assertEqual(written.status, 201)

    async def test_a_directory_is_listed_with_hidden_entries_sorted_by_name(self) -> None:
        for name in ("b", ".hidden", "a/x", "Z"):
            await self.write(name, "1")
        answer = await self.get("dirs", ".")
        self.assertEqual(answer.json["path"], ".")
        self.assertEqual(
            [(entry["name"], entry["type"]) for entry in answer.json["entries"]],
            [(".hidden", "file"), ("Z", "file"), ("a", "directory"), ("b", "file")],
        )
        self.assertEqual(set(answer.json["entries"][0]), {"name", "type", "size", "modifiedAt"})

    async def test_an_empty_directory(self) -> None:
        self.assertEqual((await self.get("dirs", ".")).json, {"path": ".", "entries": []})

    async def test_stat_of_what_exists_and_what_does_not(self) -> None:
        await self.write("a/b", "12345")
        found = (await self.get("stat", "a/b")).json
        self.assertEqual((found["exists"], found["type"], found["size"]), (True, "file", 5))
        self.assertEqual((await self.get("stat", "a")).json["type"], "directory")
        missing = await self.get("stat", "nope")
        self.assertEqual((missing.status, missing.json), (200, {"exists": False}))

    async def test_paths_that_are_refused(self) -> None:
        for path in ("/etc/passwd", "/workspace/x", "../x", "a/../b", "a/..", "a\0b", "x" * 256, "a/" * 2049):
            for what in READS:
                answer = await self.get(what, path)
                self.assertEqual((answer.status, answer.json["code"]), (400, "INVALID_PATH"), path)
                self.assertTrue(answer.json["message"].startswith("Invalid path: "))
            self.assertEqual((await self.write(path, "")).json["code"], "INVALID_PATH")
        self.assertEqual((await self.write("", "")).json["code"], "INVALID_PATH")

    async def test_a_missing_path_parameter(self) -> None:
        for what in READS:
            for query in ("", "?path=", "?other=x"):
                answer = await self.call("GET", f"sessions/s1/{what}{query}")
                self.assert_refused(answer, 400, "Query parameter 'path' is required")

    async def test_what_the_file_system_refuses_has_a_code_that_tells_why(self) -> None:
        await self.write("dir/file", "x")
        for what, path, code in (
            ("files", "nope", "FILE_NOT_FOUND"),
            ("files", "dir", "IS_A_DIRECTORY"),
            ("dirs", "nope", "FILE_NOT_FOUND"),
            ("dirs", "dir/file", "NOT_A_DIRECTORY"),
        ):
            answer = await self.get(what, path)
            self.assertEqual((answer.status, answer.json["code"]), (500, code), (what, path))
            self.assertTrue(answer.json["message"].startswith(f"Failed to {VERBS[what]}: "))
        onto = await self.write("dir", "x")
        self.assertEqual((onto.status, onto.json["code"]), (500, "IS_A_DIRECTORY"))
        self.assertTrue(onto.json["message"].startswith("Failed to write file: "))

    async def test_f22_errors_name_the_path(self) -> None:
        await self.write("dir/file", "x")
        for what, path, reason in (
            ("files", "a/nope", "No such file or directory"),
            ("dirs", "dir/file", "Not a directory"),
            ("files", "odd\udcff", "No such file or directory"),
        ):
            answer = await self.call("GET", f"sessions/s1/{what}?path={quote(path, errors='surrogateescape')}")
            self.assertEqual(answer.json["message"], f"Failed to {VERBS[what]}: {reason}: {path}")
            self.assertEqual(answer.json["path"], path)
        onto = await self.write("dir/", "x")
        self.assertEqual(onto.json["message"], "Failed to write file: Is a directory: dir/")
        self.assertEqual(onto.json["path"], "dir/")

    async def test_no_container_and_one_that_does_not_run(self) -> None:
        self.runtime.containers.pause(self.container)
        for what in READS:
            answer = await self.get(what, "x")
            self.assert_refused(answer, 500, "Container for session s1 is not running", "CONTAINER_PAUSED")
            missing = await self.call("GET", f"sessions/other/{what}?path=x")
            self.assert_refused(missing, 500, "Failed to find container for session other")

    async def test_half_of_a_surrogate_pair_is_no_content(self) -> None:
        answer = await self.write("x", "\ud800")
        self.assertEqual(answer.status, 400)
        self.assertIn("'content'", answer.json["message"])


class Limited(ApiCase):
    environment: ClassVar[Mapping[str, str]] = {"FILE_SIZE_LIMIT": "1000", "BODY_LIMIT": "4096"}

    async def test_a_file_over_the_limit_is_not_read(self) -> None:
        container = await self.session()
        self.agents.workspace(container).write(b"big", b"x" * 1001)
        answer = await self.call("GET", "sessions/s1/files?path=big")
        self.assertEqual((answer.status, answer.json["code"]), (500, "FILE_TOO_LARGE"))

    async def test_a_body_over_the_limit_is_413(self) -> None:
        await self.session()
        answer = await self.call("POST", "sessions/s1/files", {"path": "x", "content": "x" * 5000})
        self.assertEqual((answer.status, answer.json["statusCode"]), (413, 413))
