"""A small HTTP load: keep-alive connections to one loopback port, one request in flight on each.

Written on bare sockets because a full client costs more than the server it measures.
"""

from __future__ import annotations

import asyncio
import time


async def _connection(port: int, request: bytes, until: float, statuses: dict[bytes, int]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    try:
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = head[9:12]
            statuses[status] = statuses.get(status, 0) + 1
            marker = head.lower().index(b"content-length:") + 15
            await reader.readexactly(int(head[marker : head.index(b"\r\n", marker)]))
            done += 1
    finally:
        writer.close()
    return done


def requests_per_second(
    port: int, path: str, *, seconds: float, connections: int = 16, accept: str = "text/html"
) -> float:
    """GET `path` for `seconds`. :raises RuntimeError: an answer other than 200."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\n"
        "Accept-Language: en\r\n\r\n"
    ).encode()
    statuses: dict[bytes, int] = {}

    async def run() -> float:
        start = time.perf_counter()
        until = start + seconds
        counts = await asyncio.gather(
            *(_connection(port, request, until, statuses) for _ in range(connections))
        )
        return sum(counts) / (time.perf_counter() - start)

    rate = asyncio.run(run())
    if set(statuses) != {b"200"}:
        raise RuntimeError(f"{path}: answers {statuses}, expected 200 only")
    return rate
