"""New reports by the time of receiving, in steps of a length that people count in. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from hooklab.times import MINUTE, iso

MOST: Final = 60
"""So many steps at most, so that each has its column on a narrow screen."""
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720),
    *(days * 1440 for days in (1, 2, 7, 14, 28, 91, 365, 730, 1825, 3650)),
)
"""Minutes."""

CountedStep = tuple[int, int, int, int]
"""How many steps since 1970, and the new reports in it: DELIVERED, NOT_DELIVERED, PENDING."""


class Step(Struct, frozen=True, kw_only=True):
    """New reports by their status, in the step that begins at `start`."""

    start: str
    delivered: int
    not_delivered: int
    pending: int


class Received(Struct, frozen=True, kw_only=True):
    """When reports were received."""

    step_s: int
    steps: list[Step]
    """Those with any, oldest first."""


def step_of(first: int, last: int) -> int:
    """The minutes of a step, so that few enough reach from minute `first` to minute `last`."""
    return next((step for step in _STEPS if last // step - first // step < MOST), _STEPS[-1])


def received(step: int, counted: Sequence[CountedStep]) -> Received:
    """What was counted in steps of `step` minutes."""
    return Received(
        step_s=step * 60,
        steps=[
            Step(start=iso(at * step * MINUTE) or "", delivered=good, not_delivered=bad, pending=rest)
            for at, good, bad, rest in counted
            if good or bad or rest
        ],
    )
