"""The axes and plots of a report: values where they belong, names where they can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.validation.plots import scatter, site_map
from training.validation.svg import linear_axis, log_axis, number, share_axis, tight_axis

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(values)
def test_a_linear_axis_holds_its_values_between_ticks(chosen: list[float]) -> None:
    axis = linear_axis("a", chosen)
    room = 1e-6 * max(1.0, *map(abs, chosen))
    assert axis.low <= min(chosen) + room and max(chosen) - room <= axis.high
    assert 2 <= len(axis.ticks) <= 12
    positions = [axis.share(value) for value, _ in axis.ticks]
    assert positions == sorted(positions) and positions[0] == 0 and positions[-1] == 1
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


@given(values)
def test_a_tight_axis_has_room_around_its_values(chosen: list[float]) -> None:
    axis = tight_axis("a", chosen)
    assert axis.low < min(chosen) and max(chosen) < axis.high
    assert all(axis.low <= value <= axis.high for value, _ in axis.ticks)


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=20))
def test_a_logarithmic_axis_makes_equal_factors_equal_steps(chosen: list[float]) -> None:
    axis = log_axis("a", chosen)
    assert axis.low < min(chosen) and max(chosen) < axis.high
    a, b = axis.low * 1.01, axis.low * 1.05
    step = axis.share(b) - axis.share(a)
    assert axis.share(1.1 * b) - axis.share(1.1 * a) == pytest.approx(step) or axis.high < 1.1 * b
    assert all(axis.low <= value <= axis.high for value, _ in axis.ticks)


def test_a_share_axis_ends_at_100_percent() -> None:
    assert [text for _, text in share_axis("a", 0.7).ticks] == ["100 %", "90 %", "80 %", "70 %"]
    assert len(share_axis("a").ticks) == 6
    assert [text for _, text in share_axis("a", most=5).ticks] == ["100 %", "50 %", "0 %"]


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_number_is_written_to_be_read_back(value: float, decimals: int) -> None:
    text = number(value, decimals)
    assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.51 * 10**-decimals)
    assert "-" not in text and not re.fullmatch(r"−0(\.0+)?", text)


def test_the_scatter_puts_a_perfect_estimate_on_the_diagonal() -> None:
    values = [2.0, 20.0, 200.0]
    points = {
        "site": ["a"] * 3,
        "pm25": values,
        "estimate": values,
        "lower": values,
        "upper": values,
    }
    sheet = ET.fromstring(scatter(points, ["a"], "label"))
    (line,) = (e for e in sheet.iter("polyline"))
    ends = [tuple(map(float, end.split(","))) for end in str(line.get("points")).split()]
    (x0, y0), (x1, y1) = ends
    for circle in sheet.iter("circle"):
        x, y = float(circle.get("cx", "nan")), float(circle.get("cy", "nan"))
        assert y == pytest.approx(y0 + (x - x0) / (x1 - x0) * (y1 - y0), abs=0.2)


@given(st.lists(st.tuples(st.floats(-60, 70), st.floats(-180, 180)), min_size=1, max_size=12))
def test_names_on_the_map_do_not_cover_one_another(places: list[tuple[float, float]]) -> None:
    sites = {
        f"site {i}": {"lat": round(lat, 1), "lon": round(lon, 1), "n_sessions": 9}
        for i, (lat, lon) in enumerate(places)
    }
    sheet = ET.fromstring(site_map(sites, "map"))
    names = [e for e in sheet.iter("text") if (e.text or "").startswith("site")]
    assert len(names) == len(places)
    for anchor in ("end", None):
        heights = sorted(float(e.get("y", "nan")) for e in names if e.get("text-anchor") == anchor)
        assert all(b - a >= 13.8 for a, b in pairwise(heights))
