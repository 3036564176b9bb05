"""The admin side, on the unix socket in the data folder: access to it is access to the file."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Litestar, Response, get, post
from msgspec import Struct

from hooklab.metrics import Counters, ServiceStatus, with_service


def create_admin_app(
    status: Callable[[], ServiceStatus],
    counters: Callable[[], Awaitable[Counters]],
    retry_quarantine: Callable[[], Awaitable[Struct]],
    check_store: Callable[[], None],
    check_index: Callable[[], None],
) -> Litestar:
    """`/health` (the process lives), `/ready` (batches can be committed), `/status` (counters and service),
    `POST /quarantine/retry`, which answers when that is done, `POST /store/check` and `POST /search/check`, which
    answer at once.
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

    pages = [health, ready, status_page, retry, check, check_search]
    return Litestar(pages, openapi_config=None, logging_config=None, debug=False)
