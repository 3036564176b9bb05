"""The truth about a campaign as JSON Lines: every life, every body, and how often each was sent and acknowledged.

What is about to be sent is written before its first byte goes out, an acknowledgement after it came. So the file
holds, whatever ends its writer: a POST that it does not know was never made. At the end it is written anew with sums.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

VERSION: Final = 1

Ref = tuple[int, int]
"""A report by its life's number and its place in that life."""


class TruthError(Exception):
    """A truth cannot be written, read or believed; the text says why."""


class CampaignLine(Struct, frozen=True, tag_field="kind", tag="campaign"):
    """What was asked for: the first line."""

    version: int
    seed: str
    begin: str
    options: dict[str, Any]


class LifeLine(Struct, frozen=True, tag_field="kind", tag="life"):
    """One message: its reports as they are sent, with all fields."""

    life: int
    message_id: str
    reports: list[dict[str, Any]]


class Misfit(Struct, frozen=True):
    """An element that nobody can understand, as it is sent."""

    misfit: Any


class BodyLine(Struct, tag_field="kind", tag="body"):
    """One body: what is in it, and what became of it.

    Attributes:
        body: its number.
        digest: SHA-256 of its bytes, in hexadecimal.
        label: what follows the token in the URL, if anything.
        elements: in the order of the array.
        posts: POSTs made with it: of each at least one byte may have gone out.
        acknowledged: POSTs that were answered 200.
    """

    body: int
    digest: str
    label: str | None
    elements: list[Ref | Misfit]
    posts: int = 0
    acknowledged: int = 0


class PostedLine(Struct, frozen=True, tag_field="kind", tag="posted", omit_defaults=True):
    """One POST more of a body, about to be made; `lost`: its answer will be lost on purpose."""

    body: int
    lost: bool = False


class AcknowledgedLine(Struct, frozen=True, tag_field="kind", tag="acknowledged"):
    """One POST of a body was answered 200."""

    body: int


class EndLine(Struct, frozen=True, tag_field="kind", tag="end"):
    """The sums over all bodies: the last line, where the writer was not killed."""

    posts: int
    acknowledged: int
    finished: bool
    """Whether everything was acknowledged."""


Line = CampaignLine | LifeLine | BodyLine | PostedLine | AcknowledgedLine | EndLine
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Line)


class Truth(Struct):
    """A truth as it was read."""

    lives: dict[int, LifeLine]
    bodies: dict[int, BodyLine]
    end: EndLine | None = None


class TruthWriter:
    """Writes a truth while a campaign runs; `posted` and `acknowledged` may be called by many threads."""

    def __init__(self, path: Path) -> None:
        """Begins the file anew, readable by its owner only.

        Raises:
            TruthError: it cannot be written.
        """
        self._path = path.resolve()  # what a link points to is written, not the link
        with _explained(path):
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def plan(self, lines: Iterable[CampaignLine | LifeLine | BodyLine]) -> None:
        """Writes what will be sent; to be called before anything is."""
        waiting = bytearray()
        for line in lines:
            waiting += _encode(line) + b"\n"
            if len(waiting) > 1 << 20:
                self._write(waiting)
                waiting.clear()
        self._write(waiting)

    def posted(self, body: int, *, lost: bool = False) -> None:
        """A POST of this body is about to be made."""
        self._write(_encode(PostedLine(body, lost)) + b"\n")

    def acknowledged(self, body: int) -> None:
        """A POST of this body was answered 200."""
        self._write(_encode(AcknowledgedLine(body)) + b"\n")

    def finish(self, *, finished: bool) -> None:
        """Writes the file anew with the sums, in one step. What is no plain file, such as a pipe, stays as it is."""
        if not self._path.is_file():
            return
        new = self._path.with_name(self._path.name + ".new")
        with _explained(self._path), _gone_if_it_fails(new):
            sums = _sums(_lines(self._path))
            with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.writelines(_encode(line) + b"\n" for line in _summed(_lines(self._path), *sums))
                file.write(_encode(EndLine(sums[0].total(), sums[1].total(), finished)) + b"\n")
            new.replace(self._path)

    def _write(self, data: bytes | bytearray) -> None:
        with _explained(self._path):
            while data:  # a disk that fills up takes a part
                data = data[os.write(self._fd, data) :]


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TruthError(f"the truth cannot be written to {path}: {error.strerror}") from error


@contextlib.contextmanager
def _gone_if_it_fails(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sums(lines: Iterable[Line]) -> tuple[Counter[int], Counter[int]]:
    posts: Counter[int] = Counter()
    acknowledged: Counter[int] = Counter()
    for line in lines:
        if isinstance(line, PostedLine):
            posts[line.body] += 1
        elif isinstance(line, AcknowledgedLine):
            acknowledged[line.body] += 1
    return posts, acknowledged


def _summed(lines: Iterable[Line], posts: Counter[int], acknowledged: Counter[int]) -> Iterator[Line]:
    for line in lines:
        if isinstance(line, BodyLine):
            line.posts, line.acknowledged = posts[line.body], acknowledged[line.body]
        if not isinstance(line, PostedLine | AcknowledgedLine):
            yield line


def _lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # its writer was killed in the middle: what it announces was not done
            try:
                yield _decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise TruthError(f"{path} is no truth of `hooklab simulate`: line {number}: {error}") from None


def read_truth(path: Path) -> Truth:
    """The truth in `path`, also one whose writer was killed.

    Raises:
        TruthError: it cannot be read, is none, or contradicts itself.
    """
    truth = Truth({}, {})
    version = None
    try:
        for line in _lines(path):
            if isinstance(line, CampaignLine):
                version = line.version
            elif isinstance(line, EndLine):
                truth.end = line
            elif isinstance(line, LifeLine):
                truth.lives[line.life] = line
            elif isinstance(line, BodyLine):
                truth.bodies[line.body] = line
            elif line.body not in truth.bodies:
                raise TruthError(f"{path} contradicts itself: body {line.body} was sent, and is not in it")
            elif isinstance(line, PostedLine):
                truth.bodies[line.body].posts += 1
            else:
                truth.bodies[line.body].acknowledged += 1
    except OSError as error:
        raise TruthError(f"{path} cannot be read: {error.strerror}") from error
    if version != VERSION:
        what = "it has no first line" if version is None else f"it is of version {version}"
        raise TruthError(f"{path} is no truth of this hooklab: {what}")
    _check(path, truth)
    return truth


def _check(path: Path, truth: Truth) -> None:
    bodies = truth.bodies.values()
    for body in bodies:
        for element in body.elements:
            if isinstance(element, Misfit):
                continue
            life = truth.lives.get(element[0])
            if life is None or not 0 <= element[1] < len(life.reports):
                raise TruthError(f"{path} contradicts itself: body {body.body} holds a report that no life has")
        if body.acknowledged > body.posts:
            raise TruthError(f"{path} contradicts itself: body {body.body} was acknowledged oftener than posted")
    if truth.end is not None:
        sums = sum(body.posts for body in bodies), sum(body.acknowledged for body in bodies)
        if sums != (truth.end.posts, truth.end.acknowledged):
            raise TruthError(f"{path} contradicts itself: its bodies' posts and acknowledgements are not its sums")
