"""The last readings that came in, newest first: of one feature set, of photos and not of copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.feature_store import FeatureStore, PhotoKey, Provenance, Reading, Refusal

KINDS = [
    ("set", PhotoKey("", "min_side=512 A", "A")),
    ("set", PhotoKey("", "min_side=200 A", "A")),
    ("set", PhotoKey("", "A copy", "A copy")),
    ("other set", PhotoKey("", "min_side=512 A", "A")),
]


@given(
    came=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=30),
    count=st.integers(1, 12),
)
def test_they_are_the_end_of_what_came_in(came: list[tuple[int, int]], count: int) -> None:
    expected: dict[tuple[str, str], float] = {}
    with FeatureStore(Path(":memory:")) as store:
        for moment, (kind, photo) in enumerate(came):
            feature_set, key = KINDS[kind]
            key = key._replace(sha256=f"photo {photo}")
            store.put({key: Reading(np.array([float(moment)]))}, feature_set, Provenance("test"))
            if kind < 2:  # one that is read again comes in again
                expected.pop((key.sha256, key.conditions), None)
                expected[key.sha256, key.conditions] = moment
        found = store.latest(count, "set", "A")
    wanted = [(sha256, moment) for (sha256, _), moment in expected.items()][::-1][:count]
    assert [(sha256, reading.values[0]) for sha256, _, reading in found] == wanted  # type: ignore[index]


def test_refused_ones_are_among_them() -> None:
    with FeatureStore(Path(":memory:")) as store:
        refused = Reading(None, Refusal("too_small", "It is."))
        store.put({PhotoKey("a", "A", "A"): refused}, "set", Provenance("test"))
        ((sha256, created_at, reading),) = store.latest(5, "set", "A")
    assert (sha256, reading.refusal) == ("a", refused.refusal)
    assert created_at.endswith("+00:00")
