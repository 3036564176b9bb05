"""Asks the service of a data folder, through its admin socket, for its own word, and has it carry out orders."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hooklab.files import Folder, FolderError, socket_address
from hooklab.metrics import ServiceStatus

StatusSource = Callable[[], Awaitable[ServiceStatus | None]]
"""Asks the service for its own word; None where no service runs."""


class NoAnswerError(Exception):
    """The service does not answer as it should; the text says so in words for a person."""


async def no_service() -> ServiceStatus | None:
    """The status source where nobody is to be asked."""
    return None


async def ask_service(folder: Folder) -> ServiceStatus | None:
    """What the service of a data folder says of itself through its admin socket; None where none answers."""
    return await asyncio.to_thread(_ask, folder)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, folder: Folder, timeout: float | None = 2.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with socket_address(self._folder) as address:
            self.sock.connect(address)


def _ask(folder: Folder) -> ServiceStatus | None:
    connection = _UnixConnection(folder)
    try:
        connection.request("GET", "/status")
        answer = msgspec.json.decode(connection.getresponse().read())
        return msgspec.convert(answer["service"], ServiceStatus, strict=False)
    except (OSError, http.client.HTTPException, FolderError, msgspec.MsgspecError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def order_service(folder: Folder, path: str) -> tuple[int, Any] | None:
    """Has the service of a data folder carry out a `POST`; gives code and JSON of its answer, None without a service.

    Raises:
        NoAnswerError: it does not answer, or with something else.
    """
    connection = _UnixConnection(folder, timeout=None)
    try:
        connection.connect()
    except (OSError, FolderError):
        connection.close()
        return None
    try:
        connection.request("POST", path)
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise NoAnswerError(f"the service of {folder.path} does not answer: {error}") from error
    finally:
        connection.close()
