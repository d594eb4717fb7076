"""Contract section 2, row by row, over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent, globalLogPublisher

from sandbox.domain.model import ContainerState, ExecResult
from tests.api.stage import KEY, ApiCase
from tests.waiting import until


class Exec(ApiCase):
    async def execute(self, body: object, **how: object) -> object:
        return await self.call("POST", "sessions/s1/exec", body, **how)  # type: ignore[arg-type]

    async def test_a_string_is_run_by_the_shell_and_answers_200(self) -> None:
        await self.session()
        answer = await self.execute({"command": "echo hello there"})
        payload = answer.json
        self.assertIsInstance(payload.pop("durationMs"), int)
        self.assertEqual(answer.status, 200)
        self.assertEqual(payload, {"exitCode": 0, "stdout": "hello there\n", "stderr": "", "truncated": False})

    async def test_an_array_is_run_as_it_is(self) -> None:
        await self.session()
        self.assertEqual((await self.execute({"command": ["/bin/sh", "-c", "echo x"]})).json["stdout"], "x\n")
        missing = await self.execute({"command": ["/bin/nothing"]})
        self.assert_refused(missing, 500, "Execution failed: /bin/nothing: No such file or directory")

    async def test_a_non_zero_exit_code_is_a_200(self) -> None:
        await self.session()
        answer = await self.execute({"command": "exit 3"})
        self.assertEqual((answer.status, answer.json["exitCode"]), (200, 3))

    async def test_a_killed_command_has_128_and_its_signal(self) -> None:
        await self.session()
        answer = await self.execute({"command": "kill 9"})
        self.assertEqual((answer.json["exitCode"], answer.json["signal"]), (137, "SIGKILL"))

    async def test_env_reaches_the_command(self) -> None:
        await self.session()
        answer = await self.execute({"command": "env", "env": {"A": "1", "B": "x\ny"}})
        self.assertEqual(json.loads(answer.json["stdout"]), {"A": "1", "B": "x\ny"})

    async def test_output_that_is_not_utf8_has_replacement_characters(self) -> None:
        await self.session()
        self.assertEqual((await self.execute({"command": "bytes 61ff62"})).json["stdout"], "a\ufffdb")

    async def test_time_is_up(self) -> None:
        await self.session()
        answer = await self.execute({"command": "sleep 60", "timeoutMs": 30})
        self.assert_refused(answer, 500, "Execution timeout after 30ms", "EXECUTION_TIMEOUT")
        self.assertEqual((answer.json["stdout"], answer.json["stderr"]), ("begun\n", "warned\n"))

    async def test_no_key_or_a_wrong_one(self) -> None:
        for key in (None, "", "wrong", KEY + "x"):
            self.assert_refused(await self.execute({"command": "echo"}, key=key), 403, "Forbidden", "FORBIDDEN")

    async def test_a_bad_body_names_the_field(self) -> None:
        await self.session()
        for body, named in (
            ({}, "'command' is required"),
            ({"command": []}, "'command'"),
            ({"command": [1]}, "'command'"),
            ({"command": "a\0b"}, "'command'"),
            ({"command": "x" * 131_072}, "'command'"),
            ({"command": "echo", "cwd": ""}, "'cwd'"),
            ({"command": "echo", "env": {"A": 1}}, "'env.A'"),
            ({"command": "echo", "env": {"A=B": "1"}}, "'env'"),
            ({"command": "echo", "env": {"A": "x" * 131_072}}, "'env.A'"),
            ({"command": "echo", "timeoutMs": 0}, "'timeoutMs'"),
            ({"command": "echo", "timeoutMs": 600_001}, "'timeoutMs'"),
            ({"command": "echo", "timeoutMs": True}, "'timeoutMs'"),
            ({"command": "echo", "timeoutMs": 1.5}, "'timeoutMs'"),
            ({"command": "echo", "shell": "zsh"}, "'shell' is unknown"),
        ):
            answer = await self.execute(body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(named, answer.json["message"])
        malformed = await self.execute(None, raw=b"{")
        self.assertEqual(malformed.status, 400)
        self.assertIn("not valid JSON", malformed.json["message"])

    async def test_half_of_a_surrogate_pair_names_the_field(self) -> None:
        await self.session()
        for body, named in (
            ({"command": "\ud800"}, "'command'"),
            ({"command": ["echo", "\ud900"]}, "'command'"),
            ({"command": "pwd", "cwd": "/\ud800"}, "'cwd'"),
            ({"command": "env", "env": {"A": "\ud800"}}, "'env.A'"),
            ({"command": "env", "env": {"\ud800": "x"}}, "'env'"),
        ):
            answer = await self.execute(body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(named, answer.json["message"])

    async def test_more_items_than_can_be_looked_through_at_once_name_the_field(self) -> None:
        for body, named in (
            ({"command": ["x"] * 30_000}, "'command'"),
            ({"command": "x", "env": {str(number): "" for number in range(30_000)}}, "'env'"),
        ):
            answer = await self.execute(body)
            self.assertEqual(answer.status, 400)
            self.assertIn(named, answer.json["message"])
        await self.session()
        many = await self.execute({"command": ["/bin/sh", *["x"] * 15_000, "echo many"]})
        self.assertEqual(many.json["stdout"], "many\n")

    async def test_an_idempotency_key_is_of_one_life_of_a_session(self) -> None:
        for number in (1, 2):
            await self.session()
            answer = await self.execute({"command": f"exit {number}"}, headers={"Idempotency-Key": "same"})
            self.assertEqual(answer.json.get("exitCode"), number, answer.body)
            await self.call("DELETE", "sessions/s1")

    async def test_a_relative_cwd_follows_the_rules_of_paths(self) -> None:
        await self.session()
        self.assert_refused(
            await self.execute({"command": "echo", "cwd": "../x"}), 400, "Invalid path: it has a '..' segment"
        )

    async def test_no_container(self) -> None:
        answer = await self.execute({"command": "echo"})
        self.assert_refused(answer, 500, "Failed to find container for session s1", "CONTAINER_NOT_FOUND")

    async def test_a_container_that_does_not_run(self) -> None:
        for state in set(ContainerState) - {ContainerState.RUNNING}:
            self.runtime.containers.add(state.value, state=state)
            answer = await self.call("POST", f"sessions/{state.value}/exec", {"command": "echo"})
            self.assert_refused(answer, 500, f"Container for session {state.value} is not running")

    async def test_a_client_that_hangs_up_kills_the_command(self) -> None:
        await self.session()
        killed: Deferred[None] = Deferred()

        async def endless(process: object) -> int:
            waiting: Deferred[int] = Deferred(lambda _: killed.callback(None))
            started.callback(None)
            return await waiting

        started: Deferred[None] = Deferred()
        self.agents.programs[b"endless"] = endless
        body = b'{"command": ["endless"]}'
        head = f"POST /api/internal/sessions/s1/exec HTTP/1.1\r\nHost: x\r\nX-Internal-Service-Key: {KEY}\r\n"
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port), Protocol())
        client.transport.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await started
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        client.transport.abortConnection()
        await killed
        about = "sandbox.operations.execution"
        told = await until(lambda: [event for event in events if event["log_namespace"] == about])
        self.assertEqual([(event["session"], event["command"]) for event in told], [("s1", "endless")])

    async def test_f44_commands_are_timed_by_the_daemon_whatever_the_container_says(self) -> None:
        await self.session()
        told = self.runtime.execute

        def lie(*arguments: Any) -> Deferred[ExecResult]:
            return told(*arguments).addCallback(lambda result: attrs.evolve(result, duration_ms=1 << 62))

        self.patch(self.runtime, "execute", lie)
        self.assertEqual((await self.execute({"command": "echo x"})).json["durationMs"], 1 << 62)
        page = (await self.call("GET", "/metrics")).body.decode()
        seconds = float(re.findall(r"^sandbox_exec_duration_seconds_sum (\S+)$", page, re.MULTILINE)[0])
        self.assertLess(seconds, 60)

    async def test_an_outcome_can_be_asked_for_without_running_the_command(self) -> None:
        await self.session()
        runs: list[int] = []

        async def count(process: object) -> int:
            runs.append(1)
            return 0

        self.agents.programs[b"count"] = count
        body, again = {"command": ["count"]}, {"Idempotency-Key": "k1", "Idempotency-Replay": "only"}
        unknown = await self.execute(body, headers=again)
        message = "Nothing is known of a request with this Idempotency-Key"
        self.assert_refused(unknown, 409, message, "IDEMPOTENCY_KEY_UNKNOWN")
        await self.execute(body, headers={"Idempotency-Key": "k1"})
        self.assertEqual((await self.execute(body, headers=again)).status, 200)
        self.assertEqual(len(runs), 1)
        wrong = await self.execute(body, headers={**again, "Idempotency-Replay": "true"})
        self.assert_refused(wrong, 400, "Header Idempotency-Replay must be 'only'")

    async def test_an_idempotency_key_gives_the_first_outcome(self) -> None:
        await self.session()
        runs: list[int] = []

        async def count(process: object) -> int:
            runs.append(1)
            return len(runs)

        self.agents.programs[b"count"] = count
        body, key = {"command": ["count"]}, {"Idempotency-Key": "k1"}
        both = await gatherResults(
            [Deferred.fromCoroutine(self.execute(body, headers=key)) for _ in range(2)], consumeErrors=True
        )
        third = await self.execute(body, headers=key)
        self.assertEqual([answer.json["exitCode"] for answer in (*both, third)], [1, 1, 1])
        other = await self.execute({"command": ["count", "x"]}, headers=key)
        self.assertEqual((other.status, other.json["code"]), (409, "IDEMPOTENCY_KEY_REUSED"))
        self.assertEqual((await self.execute(body)).json["exitCode"], 2)
