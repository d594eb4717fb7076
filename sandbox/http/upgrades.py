"""Giving a connection that has carried HTTP to another protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure


def hand_over(before: Any, protocol: IProtocol) -> None:
    """Connect ``protocol`` to the transport of the protocol that had it, which is told of the connection's end first.

    That one stays the transport's protocol, so that its owner goes on to count it.
    """
    lost = before.connectionLost

    def connection_lost(reason: Failure) -> None:
        lost(reason)
        protocol.connectionLost(reason)

    before.dataReceived = protocol.dataReceived
    before.connectionLost = connection_lost
    protocol.makeConnection(before.transport)
