"""An echo server on PyPI's websockets, as a program of its own: prints its port, then serves until it is ended.

It does what ``tests/browser/projects/ws/echo.js`` does on npm's ws.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


def choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The first subprotocol, whatever it is."""
    return offered[0] if offered else None


async def echo(connection: ServerConnection) -> None:
    """Send back what comes, until a message says otherwise."""
    async for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            await connection.close(int(message[6:]), "asked for")
        elif message == "terminate":
            connection.transport.abort()
        elif message == "url":
            assert connection.request is not None
            await connection.send(connection.request.path)
        else:
            await connection.send(message)


async def main() -> None:
    """Serve."""
    logging.disable()  # what the tests send on purpose would fill their output
    options = {"select_subprotocol": choose, "max_size": None, "ping_interval": None}
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
