"""A histogram of whole numbers in buckets of which each is at most 1/16 as wide as what it holds. Pure.

Log-linear: exact below 32, then 16 buckets an octave. Whole numbers only, so that a bucket is the same on every
machine, and no mathematics that a build of SQLite may lack.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_BITS: Final = 4
_HALF: Final = 1 << _BITS

Counted = Sequence[tuple[int, int]]
"""(bucket, how many), in order of the bucket."""


@lru_cache(maxsize=8192)
def bucket_of(value: int) -> int:
    """The bucket of a whole number; those of negative ones are negative."""
    if value < 0:
        return -1 - bucket_of(-value)
    octave = value.bit_length() - _BITS - 1
    if octave <= 0:
        return value
    return (octave << _BITS) + (value >> octave)


def edges(bucket: int) -> tuple[int, int]:
    """The smallest and the largest number of a bucket."""
    if bucket < 0:
        low, high = edges(-1 - bucket)
        return -high, -low
    return _low(bucket), _low(bucket + 1) - 1


def _low(bucket: int) -> int:
    if bucket < 2 * _HALF:
        return bucket
    octave = (bucket >> _BITS) - 1
    return (_HALF + bucket % _HALF) << octave


def total(counted: Counted) -> int:
    """How many there are."""
    return sum(count for _, count in counted)


def quantile(counted: Counted, share: float) -> float | None:
    """The number below which `share` (0 to 1) of them lie; None if there are none.

    It is the middle of a bucket, and so off by half a bucket's width at most: 3.2 %.
    """
    wanted = share * total(counted)
    seen = 0
    for bucket, count in counted:
        seen += count
        if count and seen >= wanted:
            return sum(edges(bucket)) / 2
    return None
