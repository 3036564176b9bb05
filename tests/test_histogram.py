"""The histogram: buckets in order and narrow, quantiles within what it promises."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hooklab.histogram import bucket_of, edges, quantile, total

numbers = st.integers(-(2**62), 2**62)


@given(numbers)
def test_a_number_lies_in_its_bucket_which_is_narrow(value: int) -> None:
    """Between its edges, which are at most a sixteenth of it apart."""
    low, high = edges(bucket_of(value))
    assert low <= value <= high
    assert (high - low) * 16 <= min(abs(low), abs(high))


@given(numbers, numbers)
def test_buckets_are_in_the_order_of_their_numbers(one: int, other: int) -> None:
    """A greater number never lies in a lower bucket, and the next bucket begins right behind."""
    if one <= other:
        assert bucket_of(one) <= bucket_of(other)
    assert edges(bucket_of(one))[1] + 1 == edges(bucket_of(one) + 1)[0]


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1]))
def test_a_quantile_is_near_the_true_one(values: list[int], share: float) -> None:
    """Within half a bucket, 3.2 %, of the number that has that share at or below it."""
    counted = sorted(Counter(map(bucket_of, values)).items())
    assert total(counted) == len(values)
    truth = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    found = quantile(counted, share)
    assert found is not None
    assert abs(found - truth) <= 0.032 * truth


def test_nothing_has_no_quantile() -> None:
    """None, and no fault, where there is nothing."""
    assert quantile([], 0.5) is None
    assert quantile([(3, 0)], 0.5) is None
