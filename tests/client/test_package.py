"""The package from outside: what it exports, what it costs to import, and the examples in its docstrings."""

from __future__ import annotations

import doctest
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import sandbox.client
from sandbox.cli import addresses, texts
from sandbox.client import AsyncClient, Client, calls, configuration, origin
from sandbox.client.protocol import Call

#: The function of each endpoint.
CALLS: Mapping[str, Callable[..., Any]] = {
    name: one
    for name, one in vars(calls).items()
    if callable(one) and getattr(one, "__module__", "") == calls.__name__ and not name.startswith("_")
}


class PackageTests(SynchronousTestCase):
    def test_scripts_start_without_twisted(self) -> None:
        program = (
            "import sys, sandbox.client, sandbox.cli.main; assert 'twisted' not in sys.modules;"
            "sandbox.client.AsyncClient; assert 'twisted.internet.reactor' not in sys.modules"
        )
        subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)

    def test_all_that_is_exported_is_there_and_nothing_else_is_found(self) -> None:
        for name in sandbox.client.__all__:
            self.assertIsNotNone(getattr(sandbox.client, name), name)
        with self.assertRaisesRegex(AttributeError, "nothing"):
            _ = sandbox.client.nothing

    def test_both_faces_have_every_call_with_its_docstring(self) -> None:
        self.assertGreater(len(CALLS), 14)
        for face in (Client, AsyncClient):
            for name, function in CALLS.items():
                self.assertEqual(getattr(face, name).__doc__, function.__doc__, f"{face.__name__}.{name}")

    def test_f19_the_methods_have_true_signatures_at_run_time(self) -> None:
        for face, given in ((Client, lambda kind: kind), (AsyncClient, lambda kind: Deferred[kind])):
            for name, function in CALLS.items():
                method = getattr(face, name)
                wanted = inspect.signature(function, eval_str=True)
                (kind,) = get_args(wanted.return_annotation)
                returns = given(None if kind is type(None) else kind)
                found = inspect.signature(method)
                self.assertEqual(next(iter(found.parameters)), "self")
                self.assertEqual(list(found.parameters.values())[1:], list(wanted.parameters.values()), name)
                self.assertEqual(found.return_annotation, returns, name)
                self.assertEqual(get_type_hints(method)["return"], type(None) if returns is None else returns)
                self.assertEqual((method.__module__, method.__qualname__), (face.__module__, f"{face.__name__}.{name}"))

    def test_f19_a_bound_method_shows_what_a_caller_gives(self) -> None:
        client = Client("http://127.0.0.1:1", "key")
        self.assertEqual(
            str(inspect.signature(client.exec)).replace("collections.abc.", ""),
            "(session_id: str, command: str | Sequence[str], *, cwd: str | None = None, "
            "env: Mapping[str, str] | None = None, timeout_ms: int = 300000, idempotency_key: str | None = None)"
            " -> sandbox.client.values.ExecResult",
        )
        text = pydoc.plain(pydoc.render_doc(client.exec))
        self.assertIn("exec(session_id: str, command:", text)
        self.assertIn("method of sandbox.client.blocking.Client instance", text)
        self.assertNotIn("Call[", text)
        inspect.signature(client.exec).bind("s1", ["true"], cwd="/tmp")

    def test_a_call_is_repeatable_only_where_it_is_safe(self) -> None:
        made: list[Call[object]] = [
            calls.create_session("u"),
            calls.list_sessions(),
            calls.get_session("s"),
            calls.start_session("s"),
            calls.stop_session("s"),
            calls.delete_session("s"),
            calls.exec("s", "true"),
            calls.read_file("s", "f"),
            calls.write_file("s", "f", ""),
            calls.list_directory("s"),
            calls.stat("s", "f"),
            calls.register_preview("s", 3000),
            calls.create_link("s"),
            calls.revoke_link("s", "l"),
            calls.preview_health("s"),
            calls.api_description(),
            calls.api_page(),
        ]
        posts = [call.target.rpartition("/")[2] for call in made if call.method == "POST" and call.repeatable]
        self.assertEqual(posts, ["start", "stop", "exec"])
        self.assertTrue(all(call.repeatable for call in made if call.method != "POST"))
        self.assertNotEqual(calls.exec("s", "true").headers, calls.exec("s", "true").headers)

    def test_examples(self) -> None:
        for module in (addresses, texts, configuration, origin):
            failed, attempted = doctest.testmod(module)
            self.assertEqual(failed, 0)
            self.assertGreater(attempted, 0, module.__name__)
