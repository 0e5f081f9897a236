"""A source that misbehaves is asked again, politely and a few times; then comes an error."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asked_sources import *  # noqa: F403
from tests.replaying_server import HTML, NOW, FakeClock, ReplayingServer, Reply
from training.ground_truth.client import ATTEMPTS, LONGEST_WAIT, SourceClient, key_from_environment
from training.ground_truth.measurement import GroundTruthError
from training.ground_truth.rate_limit import RateLimit, seconds_to_wait

GOOD = Reply({"value": 1})
KEY = "a-key-that-nobody-may-see"


@pytest.fixture
def client(server: ReplayingServer, clock: FakeClock) -> Iterator[SourceClient]:
    with SourceClient(
        "The source",
        server.url,
        key=("X-API-Key", KEY),
        clock=clock,
        read_timeout=1.5,
        transfer_timeout=2.0,
    ) as client:
        yield client


TROUBLES = {
    "500": Reply(b"oops", 500),
    "429": Reply(b"slow down", 429),
    "HTML instead of JSON": Reply(HTML),
    "truncated JSON": Reply(b'{"value": [1, 2'),
    "broken off": Reply(b'{"value": 1}', promised=500),
    "silent": Reply({"value": 1}, pause=2.5),
    "dripping": Reply({"value": "x" * 100}, pause=0.4),
    "empty": Reply(b""),
    "no text at all": Reply(b"\xff\xfe\x00"),
    "nested without end": Reply(b"[" * 200_000),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_what_may_pass_is_tried_again(
    server: ReplayingServer, client: SourceClient, clock: FakeClock, trouble: Reply
) -> None:
    server.routes["/hours"] = [trouble, GOOD]
    assert client.get_json("/hours") == {"value": 1}
    assert len(server.asked) == 2
    assert len(clock.slept) == 1


@pytest.mark.parametrize("trouble", ["500", "HTML instead of JSON", "broken off"])
def test_what_does_not_pass_ends(
    server: ReplayingServer, client: SourceClient, clock: FakeClock, trouble: str
) -> None:
    server.routes["/hours"] = [TROUBLES[trouble]]
    with pytest.raises(GroundTruthError) as caught:
        client.get_json("/hours")
    assert caught.value.code == ("no_json" if "HTML" in trouble else "no_answer")
    assert len(server.asked) == ATTEMPTS
    waits = clock.slept
    assert len(waits) == ATTEMPTS - 1
    for number, wait in enumerate(waits):
        assert 2**number <= wait <= 2**number + 1, "doubling, with jitter"


def test_waits_are_not_the_same_for_everybody(server: ReplayingServer) -> None:
    server.routes["/hours"] = [TROUBLES["500"]]
    firsts = set()
    for _ in range(3):
        clock = FakeClock(NOW)
        client = SourceClient("S", server.url, clock=clock)
        with client, pytest.raises(GroundTruthError):
            client.get_json("/hours")
        firsts.add(clock.slept[0])
    assert len(firsts) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=42), usegmt=True)}, 42.0),
        ({"Retry-After": format_datetime(NOW - timedelta(hours=1), usegmt=True)}, 0.0),
        ({"x-ratelimit-reset": "31"}, 31.0),
    ],
)
def test_a_pause_that_is_asked_for_is_kept(
    server: ReplayingServer,
    client: SourceClient,
    clock: FakeClock,
    headers: dict[str, str],
    seconds: float,
) -> None:
    server.routes["/hours"] = [Reply(b"", 429, headers), GOOD]
    client.get_json("/hours")
    assert clock.slept == [seconds]


def test_a_long_pause_is_told_instead_of_slept(
    server: ReplayingServer, client: SourceClient, clock: FakeClock
) -> None:
    server.routes["/hours"] = [Reply(b"", 429, {"Retry-After": "3600"})]
    with pytest.raises(GroundTruthError, match="3600 s") as caught:
        client.get_json("/hours")
    assert caught.value.code == "asked_to_wait"
    assert clock.slept == []
    assert LONGEST_WAIT < 3600


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e9999", "Mon, 99 Foo"])
def test_a_pause_that_cannot_be_read_is_none_or_no_pause(text: str) -> None:
    assert seconds_to_wait({"retry-after": text}, NOW) in (None, 0.0)


def test_an_allowance_that_is_used_up_is_waited_for(
    server: ReplayingServer, client: SourceClient, clock: FakeClock
) -> None:
    spent = Reply({"value": 1}, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "25"})
    server.routes["/hours"] = [spent, GOOD]
    client.get_json("/hours")
    assert clock.slept == [], "the last answer is not held back"
    client.get_json("/hours", {"page": 2})
    assert clock.slept == [25.0]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "refused"),
        (401, "key_refused"),
        (402, "points_exhausted"),
        (403, "key_refused"),
        (404, "not_found"),
        (302, "moved"),
    ],
)
def test_a_refusal_is_final_and_keeps_the_key_secret(
    server: ReplayingServer,
    client: SourceClient,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    said = {"error": "ApiKeyInvalidError", "description": f"The key {KEY} was not valid."}
    server.routes["/hours"] = [Reply(said, status, {"Location": "http://elsewhere/"})]
    with pytest.raises(GroundTruthError) as caught:
        client.get_json("/hours")
    error = caught.value
    assert error.code == code
    assert error.how_to_fix
    assert len(server.asked) == 1
    assert KEY in server.asked[0].headers.values()
    for text in (str(error), repr(error), caplog.text):
        assert KEY not in text


def test_a_key_travels_encrypted_or_not_at_all() -> None:
    with pytest.raises(GroundTruthError, match="unencrypted"):
        SourceClient("S", "http://example.org", key=("X-API-Key", KEY))
    with pytest.raises(GroundTruthError, match="https://"):
        SourceClient("S", "ftp://example.org")


def test_a_missing_key_is_told_with_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "  ")
    with pytest.raises(GroundTruthError, match="export SOME_KEY") as caught:
        key_from_environment("SOME_KEY", "The source", "at its page")
    assert caught.value.code == "key_missing"


def test_a_source_that_keeps_failing_is_left_alone_for_a_while(
    server: ReplayingServer, client: SourceClient, clock: FakeClock
) -> None:
    server.routes["/hours"] = [TROUBLES["500"]]
    for _ in range(2):
        with pytest.raises(GroundTruthError):
            client.get_json("/hours")
    asked = len(server.asked)
    with pytest.raises(GroundTruthError) as caught:
        client.get_json("/hours")
    assert caught.value.code == "resting"
    assert len(server.asked) == asked
    clock.pass_by(minutes=5)
    server.routes["/hours"] = [GOOD]
    assert client.get_json("/hours") == {"value": 1}


def test_an_answer_is_kept_for_as_long_as_the_source_wishes(
    server: ReplayingServer, clock: FakeClock
) -> None:
    server.routes["/hours"] = [Reply({"value": 1}), Reply({"value": 2})]
    with SourceClient("S", server.url, cache_seconds=600, clock=clock) as client:
        assert client.get_json("/hours", {"a": 1}) == {"value": 1}
        clock.pass_by(seconds=599)
        assert client.get_json("/hours", {"a": 1}) == {"value": 1}
        clock.pass_by(seconds=2)
        assert client.get_json("/hours", {"a": 1}) == {"value": 2}
    assert len(server.asked) == 2


def test_numbers_that_are_none_read_as_null(server: ReplayingServer, client: SourceClient) -> None:
    server.routes["/hours"] = [Reply(b'{"values": [1.5, NaN, -Infinity, null]}')]
    assert client.get_json("/hours") == {"values": [1.5, None, None, None]}


def test_damaged_compression_is_tried_again(server: ReplayingServer, client: SourceClient) -> None:
    packed = gzip.compress(b'{"value": 1}')[:-9] + b"123456789"
    server.routes["/hours"] = [Reply(packed, headers={"Content-Encoding": "gzip"}), GOOD]
    assert client.get_json("/hours") == {"value": 1}


@given(
    n=st.integers(1, 6),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_the_limit(n: int, pauses: list[float]) -> None:
    clock, limit, times = FakeClock(NOW), RateLimit(n, 10.0), []
    for pause in pauses:
        clock.pass_by(seconds=pause)
        limit.wait(clock)
        times.append(clock.monotonic())
    for first, later in zip(times, times[n:], strict=False):
        assert later - first >= 10.0 - 1e-6
