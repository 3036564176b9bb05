"""The admin side, on the unix socket in the data folder: access to it is access to the file."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from litestar import Litestar, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from hooklab.files import FolderError
from hooklab.metrics import Counters, ServiceStatus, with_service
from hooklab.tokens import Token, TokenError


class TokenKeeper(Protocol):
    """Who makes tokens and takes them away."""

    async def new_token(self, name: str | None) -> Token:
        """Makes one more."""

    async def revoke(self, name: str) -> None:
        """Takes one away."""


def create_admin_app(
    status: Callable[[], ServiceStatus],
    counters: Callable[[], Awaitable[Counters]],
    orders: Sequence[HTTPRouteHandler],
) -> Litestar:
    """`/health` (the process lives), `/ready` (batches can be committed), `/status` (counters and service), and what
    it can be ordered to do.
    """

    @get("/health", sync_to_thread=False)
    def health() -> dict[str, str]:
        return {"status": "alive"}

    @get("/ready", sync_to_thread=False)
    def ready() -> Response[dict[str, Any]]:
        now = status()
        return Response({"ready": now.ready, "problem": now.problem}, status_code=200 if now.ready else 503)

    @get("/status")
    async def status_page() -> Response[dict[str, Any]]:
        now = status()
        try:
            held = with_service(await counters(), now)
        except Exception as error:
            # Whatever is wrong with the store: who asks for the status is told, and the service goes on.
            return Response({"problem": str(error), "service": now}, status_code=503)
        return Response({**msgspec.structs.asdict(held), "service": now})

    pages = [health, ready, status_page, *orders]
    return Litestar(pages, openapi_config=None, logging_config=None, debug=False)


def healing_orders(
    retry_quarantine: Callable[[], Awaitable[Struct]],
    check_store: Callable[[], None],
    check_index: Callable[[], None],
) -> list[HTTPRouteHandler]:
    """`POST /quarantine/retry`, which answers when that is done, `/store/check` and `/search/check`, at once."""

    @post("/quarantine/retry", status_code=200)
    async def retry() -> Response[Any]:
        try:
            return Response(await retry_quarantine())
        except Exception as error:
            return Response({"problem": str(error)}, status_code=503)

    @post("/store/check", status_code=202, sync_to_thread=False)
    def check() -> dict[str, str]:
        check_store()
        return {"status": "the store is being looked over"}

    @post("/search/check", status_code=202, sync_to_thread=False)
    def check_search() -> dict[str, str]:
        check_index()
        return {"status": "the search index is made anew"}

    return [retry, check, check_search]


def token_orders(keeper: TokenKeeper, hook_url: Callable[[], str]) -> list[HTTPRouteHandler]:
    """`POST /tokens/new`, `/tokens/new/NAME` and `/tokens/revoke/NAME`: 200 with the name and the hook URL that is
    shown from now on, or 409 with the problem.
    """

    async def changed(change: Awaitable[Any], name: str | None) -> Response[Any]:
        try:
            made = await change
        except (TokenError, FolderError) as error:
            return Response({"problem": str(error)}, status_code=409)
        return Response({"name": made.name if isinstance(made, Token) else name, "hook_url": hook_url()})

    @post("/tokens/new", status_code=200)
    async def new() -> Response[Any]:
        return await changed(keeper.new_token(None), None)

    @post("/tokens/new/{name:str}", status_code=200)
    async def new_named(name: FromPath[str]) -> Response[Any]:
        return await changed(keeper.new_token(name), name)

    @post("/tokens/revoke/{name:str}", status_code=200)
    async def revoke(name: FromPath[str]) -> Response[Any]:
        return await changed(keeper.revoke(name), name)

    return [new, new_named, revoke]
