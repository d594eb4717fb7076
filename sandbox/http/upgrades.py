"""Hand-over of an HTTP connection to another protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure


def hand_over(before: Any, protocol: IProtocol) -> None:
    """Connect ``protocol`` to the transport of the protocol ``before``.

    ``before`` remains the transport's protocol, so that its site still counts it; its ``connectionLost`` is called
    before that of ``protocol``.
    """
    lost = before.connectionLost

    def connection_lost(reason: Failure) -> None:
        lost(reason)
        protocol.connectionLost(reason)

    before.dataReceived = protocol.dataReceived
    before.connectionLost = connection_lost
    protocol.makeConnection(before.transport)
