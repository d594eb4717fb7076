"""F38, F46: what requests hold of outputs, files and listings stays within a budget, and is given back."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from sandbox.policy.budget import STEP
from sandbox.runtimes.memory.programs import Process
from sandbox.runtimes.memory.workspace import File
from tests.api.stage import KEY, Answer, ApiCase
from tests.http.wire import connect

MIB = 1 << 20


class Memory(ApiCase):
    environment = {"ANSWER_MEMORY": str(2 * MIB), "MAX_CONTAINER_EXECS": "3", "FILE_SIZE_LIMIT": str(32 * MIB)}  # noqa: RUF012

    async def setUp(self) -> None:
        await super().setUp()
        self.container_id = await self.session()
        self.memory = self.application.memory
        self.gate: Deferred[None] = Deferred()
        self.agents.programs[b"print"] = self.print
        self.agents.programs[b"wait"] = self.wait

    async def print(self, process: Process) -> int:
        """Prints so many bytes."""
        process.write(bytes(int(process.spec.argv[1])))
        return 0

    async def wait(self, process: Process) -> int:
        """Prints so many bytes, and ends with the gate."""
        process.write(bytes(int(process.spec.argv[1])))
        waiter: Deferred[None] = Deferred()
        self.gate.addCallback(lambda _: waiter.callback(None))
        await waiter
        return 0

    def execute(self, *argv: str, **how: Any) -> Deferred[Answer]:
        return Deferred.fromCoroutine(self.call("POST", "sessions/s1/exec", {"command": argv}, **how))

    def file(self, name: str, size: int) -> None:
        self.agents.workspace(self.container_id).put(name.encode(), File(b"x" * size, 0))

    async def until_held(self, size: int) -> None:
        while self.memory.held < size:
            await self.pause(0.01)

    async def test_f38_output_past_the_budget_is_truncated_as_past_the_cap(self) -> None:
        answer = await self.execute("print", str(MIB))
        self.assertEqual((len(answer.json["stdout"]), answer.json["truncated"]), (MIB, False))
        self.assertEqual(self.memory.held, 0)
        answer = await self.execute("print", str(3 * MIB))
        self.assertEqual((answer.status, answer.json["stdout"], answer.json["truncated"]), (200, "", True))
        self.assertEqual(self.memory.held, 0)

    async def test_f38_a_command_for_whose_output_nothing_is_left_is_503(self) -> None:
        held = self.memory.share()
        held.take(2 * MIB - 2 * STEP + 1)
        answer = await self.execute("print", "1")
        self.assert_refused(answer, 503, "Too many commands hold output at once", "TOO_MANY_EXECS")
        self.assertIn(b"retry-after", answer.headers)
        held.close()
        self.assertEqual((await self.execute("print", "1")).status, 200)

    async def test_f38_files_and_listings_that_do_not_fit_are_503(self) -> None:
        self.file("big", MIB + 1)
        held = self.memory.share()
        held.take(MIB)
        for path in ("files?path=big", "dirs?path=."):
            answer = await self.call("GET", f"sessions/s1/{path}")
            if path.startswith("files"):
                self.assert_refused(answer, 503, "Too much memory is in use by other requests", "ANSWER_MEMORY")
                self.assertIn(b"retry-after", answer.headers)
                held.take(MIB)
            else:
                self.assertEqual((answer.status, answer.json["code"]), (503, "ANSWER_MEMORY"))
        held.close()
        self.assertEqual((await self.call("GET", "sessions/s1/files?path=big")).json["size"], MIB + 1)
        self.assertEqual(len((await self.call("GET", "sessions/s1/dirs?path=.")).json["entries"]), 1)
        self.assertEqual(self.memory.held, 0)

    async def test_f38_large_bodies_are_held_by_it_too(self) -> None:
        self.memory.size = 3 * MIB
        for size, status in ((4 * MIB, 503), (2 * MIB, 503), (MIB, 201)):
            answer = await self.call("POST", "sessions/s1/files", {"path": "a", "content": "x" * size})
            code = "ANSWER_MEMORY" if status == 503 else None
            self.assertEqual((answer.status, answer.json.get("code")), (status, code))
            self.assertEqual(self.memory.held, 0)

    async def test_f38_a_body_that_is_on_its_way_is_held_until_its_sender_leaves(self) -> None:
        client = await connect(self.port.getHost().port)
        client.send(
            f"POST /api/internal/sessions/s1/files HTTP/1.1\r\nHost: x\r\nX-Internal-Service-Key: {KEY}\r\n"
            f"Content-Length: {2 * MIB}\r\n\r\n".encode()
            + b"x" * MIB
        )
        await self.until_held(MIB - STEP)
        client.abort()
        while self.memory.held:
            await self.pause(0.01)

    async def test_f38_what_is_answered_is_held_until_the_client_has_it_or_left(self) -> None:
        self.memory.size = 24 * MIB
        self.file("big", 8 * MIB)
        self.file("huge", 20 * MIB)
        client = await connect(self.port.getHost().port)
        client.transport.pauseProducing()
        client.send(
            f"GET /api/internal/sessions/s1/files?path=huge HTTP/1.1\r\nHost: x\r\n"
            f"X-Internal-Service-Key: {KEY}\r\n\r\n".encode()
        )
        await self.until_held(20 * MIB)
        refused = await self.call("GET", "sessions/s1/files?path=big")
        self.assertEqual((refused.status, refused.json["code"]), (503, "ANSWER_MEMORY"))
        client.abort()
        while self.memory.held:
            await self.pause(0.01)
        self.assertEqual((await self.call("GET", "sessions/s1/files?path=big")).status, 200)

    async def test_f38_time_outs_hold_their_partial_output_and_give_it_back(self) -> None:
        self.agents.programs[b"hang"] = self.wait
        answer = await self.call("POST", "sessions/s1/exec", {"command": ["hang", str(MIB)], "timeoutMs": 50})
        self.assertEqual((answer.status, len(answer.json["stdout"])), (500, MIB))
        self.assertEqual(self.memory.held, 0)

    async def test_f38_a_repeated_request_holds_the_outcome_that_it_gets(self) -> None:
        key = {"Idempotency-Key": "k"}
        running = [self.execute("wait", str(MIB), headers=key) for _ in range(2)]
        await self.until_held(MIB)
        self.gate.callback(None)
        answers = await gatherResults(running)
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(self.memory.held, 0)
        held = self.memory.share()
        held.take(MIB + 1)
        self.assertEqual((await self.execute("wait", str(MIB), headers=key)).json["code"], "ANSWER_MEMORY")
        held.close()
        self.assertEqual(len((await self.execute("wait", str(MIB), headers=key)).json["stdout"]), MIB)

    async def test_f38_a_caller_that_leaves_gives_back_what_its_command_held(self) -> None:
        client = await connect(self.port.getHost().port)
        body = json.dumps({"command": ["wait", str(MIB)]}).encode()
        client.send(
            f"POST /api/internal/sessions/s1/exec HTTP/1.1\r\nHost: x\r\nX-Internal-Service-Key: {KEY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await self.until_held(MIB)
        client.abort()
        while self.memory.held:
            await self.pause(0.01)

    async def test_f46_a_container_has_a_share_of_the_commands(self) -> None:
        running = [self.execute("wait", "1") for _ in range(3)]
        await self.until_held(6 * STEP)
        answer = await self.execute("wait", "1")
        self.assert_refused(answer, 503, "Too many commands run at once in this container", "TOO_MANY_EXECS")
        # Files are not in it, nor are other containers.
        self.assertEqual((await self.call("GET", "sessions/s1/stat?path=.")).status, 200)
        await self.session("s2")
        other = await self.call("POST", "sessions/s2/exec", {"command": ["print", "1"]})
        self.assertEqual(other.status, 200)
        self.gate.callback(None)
        await gatherResults(running)
        self.assertEqual((await self.execute("print", "1")).status, 200)

    async def test_f46_what_was_refused_is_not_remembered_for_its_key(self) -> None:
        running = [self.execute("wait", "1") for _ in range(3)]
        await self.until_held(6 * STEP)
        key = {"Idempotency-Key": "k"}
        self.assertEqual((await self.execute("print", "1", headers=key)).status, 503)
        self.gate.callback(None)
        await gatherResults(running)
        self.assertEqual((await self.execute("print", "1", headers=key)).status, 200)


class Defaults(ApiCase):
    async def test_f38_f39_f46_defaults(self) -> None:
        settings = self.settings
        self.assertEqual((settings.answer_memory, settings.directory_limit), (256 * MIB, 20_000))
        self.assertEqual(settings.max_container_execs, 64)
