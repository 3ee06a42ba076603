"""Wait in an event loop for what the kernel says by a descriptor."""

from __future__ import annotations

import asyncio
import os


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read, or is at its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, note)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def ended(pid: int) -> None:
    """Wait for a process to end whose number nobody else can have got yet."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # Whose child it was has died too, and nobody was waited for.
    try:
        await readable(pidfd)
    finally:
        os.close(pidfd)
