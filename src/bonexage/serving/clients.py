"""The client of a request: the address that it has, and work for it that is given up when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


def peer_of(request: Request) -> str:
    """The address that a request comes from: a proxy's, where there is one before the service."""
    return request.client.host if request.client else ""


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work for a request whose body has been read; it is cancelled where the client goes.

    Raises:
        ClientDisconnect: the client has gone.
    """
    doing = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((doing, going), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientDisconnect
    finally:
        doing.cancel()
        going.cancel()
        await asyncio.gather(doing, going, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
