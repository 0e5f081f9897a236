"""What all sources share: hours in UTC, each once, keys, and names."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asked_sources import *  # noqa: F403
from tests.asked_sources import LAST
from training.ground_truth.measurement import (
    HOUR,
    GroundTruthError,
    SensorHour,
    hour_end,
    hours_between,
)
from training.ground_truth.purpleair import PurpleAir
from training.ground_truth.siata import Siata
from training.ground_truth.sources import SOURCES, open_source


def test_a_source_has_a_name_or_is_unknown(tmp_path: Path) -> None:
    assert [open_source(name).name for name in SOURCES] == list(SOURCES)
    assert isinstance(open_source("siata"), Siata)
    assert isinstance(open_source("purpleair"), PurpleAir)
    for name, correction in (("sitaa", ""), ("purpleair", "epa"), ("siata", "epa_2021_cf1")):
        with pytest.raises(GroundTruthError, match="Allowed"):
            open_source(name, correction=correction)


@pytest.mark.parametrize("variable", ["PURPLEAIR_API_KEY", "OPENAQ_API_KEY"])
def test_without_a_key_nothing_is_asked(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(GroundTruthError, match=variable):
        open_source(variable.partition("_")[0].lower())


@given(
    at=st.datetimes(datetime(1995, 1, 1), datetime(2050, 1, 1)),
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_a_moment_lies_in_exactly_one_hour(at: datetime, offset: int) -> None:
    from datetime import timezone

    moment = at.replace(tzinfo=timezone(timedelta(minutes=offset)))
    end = hour_end(moment)
    assert end - HOUR <= moment < end
    assert (end.minute, end.second, end.utcoffset()) == (0, 0, timedelta(0))


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, 1.0, 2.0])), max_size=20))
def test_of_one_hour_there_is_one_and_never_an_invented_value(
    told: list[tuple[int, float | None]],
) -> None:
    hours = [SensorHour("1", LAST - n * HOUR, pm25, str(pm25)) for n, pm25 in told]
    found = hours_between(hours, LAST - 6 * HOUR, LAST)
    ends = [hour.ends_at for hour in found]
    assert ends == sorted(set(ends))
    for hour in found:
        same = {pm25 for n, pm25 in told if LAST - n * HOUR == hour.ends_at}
        assert same == {hour.pm25} if len(same) == 1 else hour.pm25 is None
        assert LAST - 6 * HOUR < hour.ends_at <= LAST
