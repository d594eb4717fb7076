"""``sandbox.runtimes.docker.protocol``: no field of a reply is taken that Linux could not have sent (F44)."""

from __future__ import annotations

import struct

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import ExecSpec
from sandbox.net.fairness import RunQueue
from sandbox.protocols.docker_stream import STDOUT
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_errors import execution_error, file_error
from sandbox.runtimes.docker.agent_link import AgentLink, LinkLost
from sandbox.runtimes.docker.execution import Command
from sandbox.runtimes.docker.protocol import ProtocolError, Refusal


class Aborted(StringTransport):
    """Knows whether it was ended."""

    aborted = False

    def abortConnection(self) -> None:
        """As the interface says."""
        self.aborted = True


class FieldsTests(SynchronousTestCase):
    """Bounds."""

    def test_f44_every_error_that_is_taken_has_words(self) -> None:
        for stage in range(256):
            for error in (0, 1, 2, 133, 999, 1000, 1008, 1009, 4095, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1):
                payload = struct.pack(">BI", stage, error)
                if stage <= 5 and 1 <= error <= 4095:
                    refusal = protocol.parse_refusal(payload)
                    self.assertEqual(refusal, Refusal(stage, error))
                    self.assertTrue(file_error(refusal).message)
                    self.assertTrue(execution_error(refusal, ExecSpec(argv=[b"x"])).message)
                else:
                    self.assertRaises(ProtocolError, protocol.parse_refusal, payload)

    def test_f44_exits(self) -> None:
        good = (0, 255, 15, 1 << 22, 1 << 53)
        self.assertEqual(protocol.parse_exit(struct.pack(">BBBIQ", *good)).status, 255)
        self.assertEqual(protocol.parse_exit(struct.pack(">BBBIQ", 1, 64, 0, 0, 0)).status, 64)
        for bad in (
            (2, 1, 0, 0, 0),
            (1, 0, 0, 0, 0),
            (1, 65, 0, 0, 0),
            (0, 0, 16, 0, 0),
            (0, 0, 0, (1 << 22) + 1, 0),
            (0, 0, 0, 0, (1 << 53) + 1),
            (0, 0, 0, 0, 2**64 - 1),
        ):
            with self.assertRaises(ProtocolError, msg=repr(bad)):
                protocol.parse_exit(struct.pack(">BBBIQ", *bad))

    def test_f44_metadata(self) -> None:
        good = (ord("f"), 2**63 - 1, -(2**63), 10**9 - 1)
        self.assertEqual(protocol.parse_metadata(struct.pack(">BQqI", *good)).size, 2**63 - 1)
        for bad in ((ord("?"), 0, 0, 0), (ord("f"), 2**63, 0, 0), (ord("f"), 0, 0, 10**9)):
            self.assertRaises(ProtocolError, protocol.parse_metadata, struct.pack(">BQqI", *bad))

    def test_f44_a_command_ran_no_longer_than_the_daemon_waited(self) -> None:
        command = Command(100)
        ended = protocol.parse_exit(struct.pack(">BBBIQ", 0, 0, 0, 0, 1 << 52))
        self.assertEqual(command.result(ended, 12).duration_ms, 12)
        ended = protocol.parse_exit(struct.pack(">BBBIQ", 0, 0, 0, 0, 7000))
        self.assertEqual(command.result(ended, 12).duration_ms, 7)

    def test_f44_a_link_ends_at_a_field_out_of_range_and_raises_nothing(self) -> None:
        for kind, payload in (
            (protocol.FAILURE, struct.pack(">BI", 5, 2**31)),
            (protocol.EXIT, struct.pack(">BBBIQ", 0, 0, 0, 0, 2**63)),
        ):
            link, transport = AgentLink(lambda link: None, RunQueue.of(Clock())), Aborted()
            link.makeConnection(transport)
            command = Command(100)
            request_id = link.begin(command, lambda number: [protocol.frame(number, protocol.EXEC)])
            reply = struct.pack(">IIB", len(payload), request_id, kind) + payload
            link.dataReceived(struct.pack(">BxxxI", STDOUT, len(reply)) + reply)
            self.assertTrue(transport.aborted)
            link.connectionLost()
            self.failureResultOf(command.wait(), LinkLost)
