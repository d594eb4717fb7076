"""Takes uploads and forgets them: ``python -m bench.load.sink PORT``. Answers when the last byte has come."""

from __future__ import annotations

import re
import socket
import sys
import threading

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PIECE = 1 << 18


def _take(connection: socket.socket) -> None:
    with connection:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(_PIECE)
            if not piece:
                return
            head += piece
        fields, _, body = head.partition(b"\r\n\r\n")
        if b"\nexpect:" in fields.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = re.search(rb"\ncontent-length: *(\d+)", fields.lower())
        into = memoryview(bytearray(_PIECE))
        if length is not None:
            left = int(length[1]) - len(body)
            while left > 0:
                got = connection.recv_into(into)
                if not got:
                    return
                left -= got
        else:
            # Chunked: the load's bodies are zeros, so that nothing but the last chunk can look like this.
            tail = body[-5:]
            while tail != b"0\r\n\r\n":
                got = connection.recv_into(into)
                if not got:
                    return
                tail = (tail + into[max(0, got - 5) : got].tobytes())[-5:]
        connection.sendall(_ANSWER)


def main() -> None:
    """Serve until SIGTERM."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_take, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
