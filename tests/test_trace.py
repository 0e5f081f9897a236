"""Stages within stages: no time is counted twice, and none is lost when a photo is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.trace import Trace

TREES: st.SearchStrategy[Any] = st.recursive(st.just([]), st.lists, max_leaves=20)


def walk(trace: Trace, branches: list[Any]) -> None:
    with trace.stage(f"of {len(branches)}"):
        for branch in branches:
            walk(trace, branch)


@given(TREES)
def test_stages_add_up_to_the_outermost(tree: list[Any]) -> None:
    trace = Trace()
    start = time.perf_counter()
    walk(trace, tree)
    taken = time.perf_counter() - start
    assert all(seconds >= 0 for seconds in trace.seconds.values())
    assert 0 < sum(trace.seconds.values()) <= taken


def test_a_stage_has_its_own_time_alone() -> None:
    trace = Trace()
    start = time.perf_counter()
    with trace.stage("outer"):
        time.sleep(0.01)
        for _ in range(2):
            with trace.stage("inner"):
                time.sleep(0.02)
    taken = time.perf_counter() - start
    assert trace.seconds["inner"] >= 0.04
    assert 0.01 <= trace.seconds["outer"] <= taken - trace.seconds["inner"]


def test_a_stage_that_fails_is_timed_too() -> None:
    trace = Trace()
    with pytest.raises(ZeroDivisionError), trace.stage("outer"), trace.stage("inner"):
        raise ZeroDivisionError
    assert trace.seconds.keys() == {"outer", "inner"}
