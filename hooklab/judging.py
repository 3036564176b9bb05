"""What a batch of the journal means, element by element: understood, or in quarantine and why. Pure."""

import traceback
from datetime import tzinfo
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from hooklab.database import is_damaged, is_io
from hooklab.journal.base import JournalBatch, JournalUnavailable
from hooklab.sending import sent_at
from hooklab.store.fold import Judged, JudgedBatch, Quarantined
from hooklab.strangers import explained, name_of_body, name_of_element
from hooklab.times import parse_reported
from hooklab.wire import Elements, Misfit, NotAnArray, check_array

_BODY_DIGEST: Final = 8
"""Bytes of it that tell one body from another: of 10 million, two are taken for one with a chance of 1 in 300,000."""
DAMAGED: Final = "the body was damaged on the disk: it is not the one that was received"
"""Why a body that is not the one received is in quarantine."""


class Reading(Struct, frozen=True):
    """How times are read: the zone of those that name none, and where that of sending is told, as in `sent_at`."""

    assumed: tzinfo
    sent_at_key: str = ""


def judge_element(elements: Elements, index: int, reading: Reading) -> Judged | Quarantined:
    """One element of an array."""
    try:
        element = elements[index]
        if isinstance(element, Misfit):
            return Quarantined(index, element.raw, explained(element.reason, name_of_element(element.raw)))
        reported, key = element.reported_at, reading.sent_at_key
        reported_us = None if reported is None else parse_reported(reported, reading.assumed)
        sent_us = sent_at(element.custom_payload, key, reading.assumed) if key else None
        return Judged(index, element, reported_us, sent_us)
    except Exception as error:
        return Quarantined(index, elements.raws[index], internal(error))


def remainder(elements: Elements) -> Quarantined | None:
    """The elements beyond the limit, which are not judged, as one thing."""
    if elements.rest is None:
        return None
    beyond = elements.count - len(elements)
    reason = f"{beyond} elements beyond the first {len(elements)} of one array were not read"
    return Quarantined(len(elements), elements.rest, reason, beyond)


def batch_of(batch: JournalBatch, count: int, judged: list[Judged], quarantined: list[Quarantined]) -> JudgedBatch:
    """A batch whose body is an array of `count` elements."""
    return JudgedBatch(
        batch.sequence,
        batch.received_at,
        batch.peer,
        batch.label,
        batch.digest[:_BODY_DIGEST],
        len(batch.body),
        count,
        judged,
        quarantined,
    )


def whole(batch: JournalBatch, reason: str) -> JudgedBatch:
    """A batch whose body could not be understood at all."""
    return replace(batch_of(batch, 0, [], []), malformed=Quarantined(0, batch.body, reason, 0))


def why_whole(batch: JournalBatch, *, check: bool) -> str | None:
    """Why a body goes to quarantine whole, in words, with what it looks like; None if it is to be judged.

    Without `check` only what was found when it came is looked at: that it was no array, or is damaged since.
    """
    if batch.damaged:
        return DAMAGED
    if check or batch.malformed:
        try:
            check_array(batch.body)
        except NotAnArray as error:
            return explained(str(error), name_of_body(batch.body))
    return None


def is_of_the_file(error: BaseException) -> bool:
    """Whether an error is the disk's or the file's, so that no batch is to blame."""
    return is_io(error) or is_damaged(error) or isinstance(error, JournalUnavailable)


def internal(error: BaseException) -> str:
    """Why, without a word of the data: an error's text may hold a phone number."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"internal: {type(error).__name__}{where}"
