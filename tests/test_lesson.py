"""A lesson: what is left out of it is left out with all that was shown of it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn_tables import drawn_lesson, no_steps
from training.alterations import ALTERATIONS
from training.lesson import SHOWN, SHOWN_WEIGHT, Lesson

N = 20
OF_STEPS = ("before", "after", "rise", "total", "weights", "kind")
OF_ROWS = ("X", "y", "weights", "sessions", "groups", "judges", "slopes")


def test_every_field_of_rows_is_known_to_these_tests() -> None:
    rest = {"trust", "hold", "signs", "steps"}
    assert {field.name for field in fields(Lesson)} == set(OF_ROWS) | rest


@given(st.lists(st.booleans(), min_size=N, max_size=N), st.integers(0, 100))
def test_a_part_holds_its_rows_and_the_steps_that_start_from_them(
    chosen: list[bool], seed: int
) -> None:
    lesson, kept = drawn_lesson(N, 60, seed), np.array(chosen)
    part = lesson.of(kept)
    for name in OF_ROWS:
        np.testing.assert_array_equal(getattr(part, name), getattr(lesson, name)[kept])
    np.testing.assert_array_equal(part.signs, lesson.signs)
    assert (part.trust, part.hold) == (lesson.trust, lesson.hold)
    stays = kept[lesson.steps.origin]
    assert len(part.steps) == stays.sum()
    for name in OF_STEPS:
        np.testing.assert_array_equal(getattr(part.steps, name), getattr(lesson.steps, name)[stays])
    # A step still starts from the same photo, which has another number now.
    np.testing.assert_array_equal(part.X[part.steps.origin], lesson.X[lesson.steps.origin[stays]])


def test_a_part_of_a_part() -> None:
    lesson = drawn_lesson(N, 60, 0)
    even, low = np.arange(N) % 2 == 0, np.arange(N) < 10
    one, other = lesson.of(even).of(low[even]), lesson.of(even & low)
    for name in OF_ROWS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in (*OF_STEPS, "origin"):
        np.testing.assert_array_equal(getattr(one.steps, name), getattr(other.steps, name))


def test_shown_copies_are_rows_with_the_target_of_their_haze() -> None:
    lesson = drawn_lesson(N, 60, 1)
    X, y, weights = lesson.with_copies()
    shown = np.array([k >= 0 and ALTERATIONS[k].name in SHOWN for k in lesson.steps.kind])
    assert 0 < shown.sum() < len(lesson.steps)
    np.testing.assert_array_equal(X[:N], lesson.X)
    np.testing.assert_array_equal(y[:N], lesson.y)
    np.testing.assert_array_equal(weights[:N], lesson.weights)
    steps = lesson.steps.of(shown)
    np.testing.assert_array_equal(X[N:], steps.after)
    np.testing.assert_allclose(y[N:], lesson.y[steps.origin] + steps.total)
    assert weights[N:].sum() == pytest.approx(SHOWN_WEIGHT * lesson.weights.sum())
    ratio = weights[N:] / lesson.weights[steps.origin]
    assert ratio == pytest.approx(ratio[0])


def test_without_shown_copies_there_are_the_rows_alone() -> None:
    lesson = drawn_lesson(N, 0, 2)
    assert len(lesson.steps) == len(no_steps(3)) == 0
    X, y, weights = lesson.with_copies()
    np.testing.assert_array_equal(X, lesson.X)
    np.testing.assert_array_equal(y, lesson.y)
    np.testing.assert_array_equal(weights, lesson.weights)
