"""The API's description: a valid OpenAPI 3.1 document, true of what is there, served, and readable as a page."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from twisted.trial.unittest import SynchronousTestCase

import sandbox
from sandbox.api.framework.api import operations_of
from sandbox.api.framework.openapi_view import operations as outlines
from sandbox.api.framework.operation import Buffered, Parameter
from sandbox.api.framework.validation import compiled, load, read
from sandbox.api.internal.api import PREFIX, DescriptionEndpoints, description
from sandbox.api.internal.page import page
from sandbox.api.internal.previews import PreviewEndpoints
from sandbox.api.internal.sessions import SessionEndpoints
from sandbox.api.internal.wire.parameters import IN_PATH
from sandbox.api.internal.workspace import WorkspaceEndpoints
from sandbox.cli.main import cli
from sandbox.client import AsyncClient, Client
from sandbox.domain import errors
from sandbox.runtimes.docker import agent_errors
from tests.api.conformity import check
from tests.api.stage import ApiCase

ROOT = Path(__file__).parents[3]
#: Operations that the clients have nothing for: applications' own answers, and what monitors ask.
_NOT_FOR_CLIENTS = {"carry_preview", "alive", "ready", "metrics"}
#: The commands that show what an operation gives.
_COMMANDS = {
    "create_session": "up",
    "get_session": "stat",
    "list_sessions": "ls",
    "start_session": "start",
    "stop_session": "stop",
    "delete_session": "rm",
    "exec": "exec",
    "read_file": "cp",
    "write_file": "cp",
    "list_directory": "ls",
    "stat": "stat",
    "register_preview": "preview add",
    "create_link": "preview link",
    "revoke_link": "preview revoke",
    "preview_health": "preview health",
    "api_description": "api",
    "api_page": "api",
}


def operations() -> dict[str, dict[str, Any]]:
    """Every operation by its id."""
    items = description()["paths"].values()
    return {one["operationId"]: one for item in items for name, one in item.items() if name != "parameters"}


class Document(SynchronousTestCase):
    def test_it_is_openapi_3_1(self) -> None:
        OpenAPIV31SpecValidator(description()).validate()

    def test_every_operation_has_a_sentence_and_a_tag_that_is_described(self) -> None:
        tags = {tag["name"] for tag in description()["tags"]}
        for name, operation in operations().items():
            self.assertRegex(operation["summary"], r"^[A-Z].*[^.]$", name)
            self.assertLessEqual(set(operation["tags"]), tags, name)

    def test_examples_of_requests_are_taken(self) -> None:
        kinds = (PreviewEndpoints, SessionEndpoints, WorkspaceEndpoints, DescriptionEndpoints)
        for operation in operations_of(PREFIX, *kinds):
            given = [Parameter("path", name, schema) for name, schema in operation.in_path(IN_PATH).items()]
            for one in (*given, *operation.parameters):
                for example in one.schema.get("examples", ()):
                    self.assertEqual(read(one.name, [example.encode()], compiled(one.schema)), example)
            if isinstance(operation.body, Buffered):
                schema = operation.body.message.schema
                for example in schema["examples"]:
                    self.assertEqual(load(json.dumps(example).encode(), compiled(schema)), example)
                    operation.body.message.decode(example)

    def test_examples_of_answers_fit(self) -> None:
        seen = 0
        for path, item in description()["paths"].items():
            for method, operation in item.items():
                for status, answer in operation["responses"].items() if method != "parameters" else ():
                    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                    known = description()["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
                    for example in known.get("examples", ()):
                        body = json.dumps(example).encode()
                        check(method.upper(), path, int(status), Deviations.JSON, body)
                        seen += 1
        self.assertGreater(seen, 10)

    def test_links_lead_to_operations_and_their_parameters(self) -> None:
        known = operations()
        for operation in known.values():
            for answer in operation["responses"].values():
                for name, link in answer.get("links", {}).items():
                    self.assertIn(name, known)
                    self.assertLessEqual(set(link["parameters"]), {"sessionId", "linkId"})

    def test_f23_error_answers_are_plain_schemas_that_generators_of_clients_understand(self) -> None:
        """openapi-python-client leaves answers out whose schema is ``allOf`` with ``const``."""
        seen = 0
        for name, operation in operations().items():
            for status, answer in operation["responses"].items():
                if not status.isdigit() or int(status) < 400 or (name, status) == ("ready", "503"):
                    continue
                schema = answer["content"]["application/json"]["schema"]
                for variant in schema.get("oneOf", [schema]):
                    self.assertLessEqual(set(variant), {"type", "required", "properties"}, name)
                    self.assertEqual(variant["type"], "object")
                    self.assertLessEqual({"statusCode", "error", "code", "message"}, set(variant["required"]))
                    self.assertLessEqual(set(variant["required"]), set(variant["properties"]))
                    for field, described in variant["properties"].items():
                        self.assertIn(described["type"], ("integer", "string", "boolean"), field)
                        self.assertNotIn("const", described, field)
                    self.assertEqual(variant["properties"]["statusCode"]["enum"], [int(status)])
                    seen += 1
        self.assertGreater(seen, 80)
        self.assertNotIn('"allOf"', json.dumps(description()))

    def test_f21_the_daemons_own_faults_are_codes_that_there_are(self) -> None:
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        known = {code for kind in kinds if issubclass(kind, errors.SandboxError) for code in (kind.code, *kind.further)}
        self.assertLessEqual(errors.OWN_FAULTS, known)

    def test_every_code_in_the_source_belongs_to_a_class_of_errors(self) -> None:
        """An error's code is declared by its class, which the description has it from."""
        found = set()
        for path in Path(sandbox.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                kind = getattr(errors, getattr(getattr(node, "func", None), "id", ""), None)
                if isinstance(node, ast.Call) and isinstance(kind, type) and issubclass(kind, errors.SandboxError):
                    for word in (*node.args, *(one.value for one in node.keywords)):
                        if isinstance(word, ast.Constant) and re.fullmatch("[A-Z0-9_]{4,}", str(word.value)):
                            self.assertIn(word.value, (kind.code, *kind.further), f"{path}: {kind.__name__}")
                            found.add(word.value)
        self.assertGreater(len(found), 25)
        self.assertLessEqual(set(agent_errors._FILE_CODES.values()), set(errors.WorkspaceError.further))
        programs = {*agent_errors._PROGRAM_CODES.values(), *agent_errors._OWN_CODES.values()}
        self.assertLessEqual(programs, set(errors.ExecutionFailed.further))

    def test_the_module_prints_it(self) -> None:
        def printed(*arguments: str) -> bytes:
            command = [sys.executable, "-P", "-m", "sandbox.api", *arguments]
            return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

        self.assertEqual(json.loads(printed()), description())
        self.assertEqual(printed("html"), render(description()))


class Clients(SynchronousTestCase):
    """docs/sdk.md and docs/cli.md: every endpoint."""

    def test_both_faces_of_the_sdk_have_a_method_for_each_operation(self) -> None:
        for name in set(operations()) - _NOT_FOR_CLIENTS:
            self.assertTrue(callable(getattr(Client, name)), name)
            self.assertTrue(callable(getattr(AsyncClient, name)), name)

    def test_the_command_has_a_way_to_each_operation(self) -> None:
        self.assertEqual(set(_COMMANDS), set(operations()) - _NOT_FOR_CLIENTS)
        for words in _COMMANDS.values():
            command: Any = cli
            for word in words.split():
                command = command.commands[word]

    def test_the_sdks_page_names_each_method(self) -> None:
        page = Path(__file__).parents[3].joinpath("docs", "sdk.md").read_text("utf-8")
        for name in set(operations()) - _NOT_FOR_CLIENTS:
            self.assertIn(f"`{name}`", page)


class Deviations(SynchronousTestCase):
    """What :mod:`tests.api.conformity` finds, so that it can be trusted when it finds nothing."""

    JSON = {"content-type": "application/json; charset=utf-8", "x-request-id": "1"}  # noqa: RUF012
    ERROR = {"statusCode": 404, "error": "Not Found", "code": "SESSION_NOT_FOUND", "message": "x"}  # noqa: RUF012

    def differs(self, status: int, payload: object, headers: dict[str, str] | None = None, path: str = "s") -> None:
        body = b"" if payload is None else json.dumps(payload).encode()
        target = f"/api/internal/sessions/{path}"
        with self.assertRaises(AssertionError):
            check("GET", target, status, self.JSON if headers is None else headers, body)

    def test_answers_that_differ(self) -> None:
        (session,) = description()["components"]["schemas"]["Session"]["examples"]
        body = json.dumps(session).encode()
        check("GET", "/api/internal/sessions/s", 200, self.JSON, body)
        self.differs(200, {**session, "more": 1})
        self.differs(200, {name: value for name, value in session.items() if name != "image"})
        self.differs(200, {**session, "status": "gone"})
        self.differs(200, {**session, "createdAt": "yesterday"})
        self.differs(201, session)
        self.differs(200, session, {**self.JSON, "content-type": "text/plain"})
        self.differs(200, session, {"content-type": "application/json"})
        self.differs(200, None)
        self.differs(204, None, {"x-request-id": "1"})

    def test_errors_that_differ(self) -> None:
        check("GET", "/api/internal/sessions/s", 404, self.JSON, json.dumps(self.ERROR).encode())
        self.differs(404, {**self.ERROR, "code": "FILE_NOT_FOUND"})
        self.differs(404, {**self.ERROR, "statusCode": 400})
        self.differs(404, {**self.ERROR, "incident": "x"})
        self.differs(404, {"message": "x"})
        self.differs(418, {**self.ERROR, "statusCode": 418})
        busy = {"statusCode": 503, "error": "Service Unavailable", "code": "ENGINE_BUSY", "message": "x"}
        check("GET", "/api/internal/sessions/s", 503, {**self.JSON, "retry-after": "2"}, json.dumps(busy).encode())
        self.differs(503, busy)
        unforeseen = {"statusCode": 500, "error": "Internal Server Error", "code": "INTERNAL", "message": "x"}
        self.differs(500, unforeseen)

    def test_what_is_no_operation_is_refused(self) -> None:
        self.differs(200, {}, path="s/nothing")
        with self.assertRaises(AssertionError):
            check("PUT", "/api/internal/sessions/s", 405, self.JSON, json.dumps(self.ERROR).encode())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def render(document: object) -> bytes:
    """What the tool in docs/extensions, which is part of no package, makes of a document."""
    place = importlib.util.spec_from_file_location("api_page", ROOT / "docs/extensions/api_page.py")
    assert place is not None
    assert place.loader is not None
    tool = importlib.util.module_from_spec(place)
    place.loader.exec_module(tool)
    return bytes(tool.render(document))


class Page(SynchronousTestCase):
    def test_the_page_that_is_shipped_is_that_of_the_endpoints(self) -> None:
        """Issue 15: rendered before it is shipped. To write it anew: see docs/extensions/api_page.py."""
        self.assertEqual(page().decode(), render(description()).decode())

    def test_it_is_complete_in_itself(self) -> None:
        reader = _Reader()
        reader.feed(page().decode())
        self.assertEqual([tag for tag, _ in reader.found if tag in ("script", "link", "img", "iframe", "form")], [])
        self.assertEqual([one for _, one in reader.found if {"src", "style", "onclick"} & set(one)], [])
        places = {one["id"] for _, one in reader.found if "id" in one}
        for tag, one in reader.found:
            if tag == "a":
                self.assertIn((one["href"] or "").removeprefix("#"), places)

    def test_it_shows_every_operation_parameter_and_code(self) -> None:
        shown = page().decode()
        for name, operation in operations().items():
            self.assertIn(f'id="{name}"', shown)
            for one in operation.get("parameters", ()):
                self.assertIn(one["name"], shown)
        for code in ("FILE_NOT_FOUND", "EXECUTION_TIMEOUT", "IDEMPOTENCY_KEY_REUSED", "INTERNAL"):
            self.assertIn(code, shown)

    def test_what_it_shows_is_escaped(self) -> None:
        document = json.loads(json.dumps(description()).replace("Create a session", "<script>alert(1)</script>"))
        self.assertNotIn(b"<script", render(document))

    def test_every_call_has_a_command(self) -> None:
        found = {one.name: one.curl for tag in description()["tags"] for one in outlines(description(), tag["name"])}
        self.assertEqual({name for name, command in found.items() if not command}, {"carry_preview"})
        command = found["read_file"]
        self.assertIn("'http://127.0.0.1:4002/api/internal/sessions/demo/files?path=src/app.py'", command)
        self.assertIn('-H "X-Internal-Service-Key: $INTERNAL_SERVICE_KEY"', command)


class Served(ApiCase):
    async def test_the_document_is_served_to_who_has_the_key(self) -> None:
        answer = await self.call("GET", "openapi.json")
        self.assertEqual((answer.status, answer.json), (200, description()))
        self.assert_refused(await self.call("GET", "openapi.json", key=None), 403, "Forbidden")

    async def test_the_page_is_served_under_a_policy_that_runs_and_fetches_nothing(self) -> None:
        answer = await self.call("GET", "docs")
        self.assertEqual((answer.status, answer.headers[b"content-type"]), (200, b"text/html; charset=utf-8"))
        self.assertEqual(answer.body, page())
        policy = answer.headers[b"content-security-policy"].decode()
        self.assertRegex(policy, r"^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; base-uri 'none'; ")
        self.assertNotIn("unsafe", policy)
        (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
        self.assertNotRegex(style, "[<>&]|url|import")
        self.assert_refused(await self.call("GET", "docs", key=None), 403, "Forbidden")
