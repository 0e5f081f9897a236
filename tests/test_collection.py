"""A camera and a source become a data set: through outages, restarts and nonsense, no gap and no
duplicate that could have been avoided.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.errors import PM25Error
from tests.balcony import *  # noqa: F403
from tests.balcony import (
    CAMERA,
    FAR,
    MORNING,
    NEAR,
    STATIONS,
    World,
    assert_labels_are_true,
    labels,
    pairing,
    picture,
    rounds,
    true_pm25,
)
from tests.replaying_server import HTML, Asked, FakeClock, Reply, openaq_hour
from training.collection.collector import Round, collect, collect_once, state_of, until_next_round
from training.collection.configuration import Collection, CollectionError
from training.collection.frame import REASONS
from training.dataset import read_dataset
from training.ground_truth.measurement import HOUR
from training.ground_truth.openaq import OpenAQ
from training.pairing import PairingRule

# ---- a quiet day


def test_frames_get_their_label_when_their_hour_has_closed(
    collection: Collection, world: World
) -> None:
    first = rounds(collection, world, 4, minutes=15)
    assert [len(done.taken) for done in first] == [1, 1, 1, 1]
    assert set(labels(collection).values()) == {None}
    assert {row["reason"] for row in pairing(collection)} == {"waiting"}
    assert world.server.count(NEAR) == 0, "nobody is asked for an hour that has not closed"

    (closed,) = rounds(collection, world, 1, minutes=15)  # 09:00:05: not published yet
    assert closed.labelled == 0
    (published,) = rounds(collection, world, 1, minutes=15)
    assert published.labelled == 4
    found = labels(collection)
    assert found["28 08:00"] == found["28 08:45"] == true_pm25(MORNING + HOUR)
    assert found["28 09:00"] is None
    row = read_dataset(collection.folder).rows[0]
    assert (row.site, row.camera, row.pm25_quality) == ("laureles", "east", "A")
    assert row.session == "laureles-east-2026-09-28"
    assert row.file == "images/2026-09-28/2026-09-28T08-00-05-0500.jpg"
    assert row.path.read_bytes() == picture(MORNING)
    assert float(pairing(collection)[0]["distances_km"]) == pytest.approx(0.556, abs=0.001)
    assert world.server.count(FAR) == 0, "nearest needs one station"


def test_a_round_too_many_does_nothing(collection: Collection, world: World) -> None:
    rounds(collection, world, 3, minutes=1)
    assert world.server.count(CAMERA) == 1
    assert len(read_dataset(collection.folder).rows) == 1


def test_by_idw_every_station_counts(collection: Collection, world: World) -> None:
    collection = replace(collection, rule=PairingRule("idw"))
    rounds(collection, world, 6, minutes=15)
    low = true_pm25(MORNING + HOUR)
    found = labels(collection)["28 08:00"]
    assert found is not None and low < found < low + 50
    assert pairing(collection)[0]["sensor_ids"] == "12 30"


# ---- outages


def test_an_outage_of_the_source_shorter_than_its_history_loses_no_label(
    collection: Collection, world: World
) -> None:
    for path in (NEAR, FAR, STATIONS):
        world.broken[path] = Reply(HTML)
    done = rounds(collection, world, 7, hours=10)
    assert sum(len(each.taken) for each in done) == 7
    assert all(each.problems for each in done[1:])
    world.broken.clear()
    rounds(collection, world, 2, hours=1)
    found = list(labels(collection).values())
    assert len(found) == 9
    assert None not in found[:7]
    assert_labels_are_true(collection)
    assert state_of(collection).given_up == 0


def test_an_outage_of_the_collector_loses_no_label_of_what_it_had_taken(
    collection: Collection, world: World
) -> None:
    rounds(collection, world, 1, hours=70)
    rounds(collection, world, 1, minutes=1)
    assert labels(collection)["28 08:00"] == true_pm25(MORNING + HOUR)


def test_an_hour_that_nobody_keeps_any_more_is_given_up(
    collection: Collection, world: World
) -> None:
    rounds(collection, world, 1, hours=74)
    (done,) = rounds(collection, world, 1, minutes=1)
    assert done.given_up == 1
    assert labels(collection)["28 08:00"] is None
    assert pairing(collection)[0]["reason"] == "no_hour"
    state = state_of(collection)
    assert (state.frames, state.labelled, state.waiting, state.given_up) == (2, 0, 1, 1)


def test_a_camera_that_comes_back_within_its_minutes_leaves_no_gap(
    collection: Collection, world: World
) -> None:
    world.broken[CAMERA] = Reply(b"", 503)
    (done,) = rounds(collection, world, 1, minutes=1)
    assert done.missing and "503" in done.problems[0]
    assert until_next_round(collection, world.clock.now(), missing=True) == 60
    world.broken.clear()
    (done,) = rounds(collection, world, 1, minutes=1)
    assert done.taken and not done.missing


def test_the_next_station_stands_in_after_a_time(collection: Collection, world: World) -> None:
    world.gaps.add((NEAR, (MORNING + HOUR).replace(second=0)))
    rounds(collection, world, 2, hours=6)  # 08:00 and 14:00: the hour closed at 09:00
    assert labels(collection)["28 08:00"] is None
    assert world.server.count(FAR) == 0
    rounds(collection, world, 1, hours=1)
    assert labels(collection)["28 08:00"] == true_pm25(MORNING + HOUR) + 100
    assert pairing(collection)[0]["sensor_ids"] == "30"


def test_a_gap_that_is_filled_in_late_is_a_label(collection: Collection, world: World) -> None:
    hour = (MORNING + HOUR).replace(second=0)
    world.gaps |= {(NEAR, hour), (FAR, hour)}
    rounds(collection, world, 3, hours=10)
    assert labels(collection)["28 08:00"] is None
    assert pairing(collection)[0]["reason"] == "waiting"
    world.gaps.clear()
    rounds(collection, world, 1, hours=1)
    assert labels(collection)["28 08:00"] in (true_pm25(hour), true_pm25(hour) + 100)


def test_a_station_without_hours_does_not_hold_up_the_others(
    collection: Collection, world: World
) -> None:
    del world.server.routes[NEAR]  # 404, while the list still has it
    rounds(collection, world, 4, hours=4)
    assert labels(collection)["28 08:00"] == true_pm25(MORNING + HOUR) + 100


def test_a_list_that_comes_empty_is_not_believed(collection: Collection, world: World) -> None:
    rounds(collection, world, 2, hours=13)
    world.broken[STATIONS] = Reply({"features": []})
    done = rounds(collection, world, 2, hours=13)
    assert "knows no sensor within 3 km" in " ".join(p for each in done for p in each.problems)
    assert labels(collection)["29 10:00"] is not None


# ---- nonsense from the camera


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(HTML), "frame_unreadable"),
        (Reply(picture(MORNING)[:-900]), "frame_unreadable"),
        (Reply(b""), "frame_unreadable"),
        (Reply(picture(MORNING, side=59)), "frame_small"),
        (
            Reply(
                picture(MORNING),
                headers={"Last-Modified": format_datetime(MORNING - HOUR, usegmt=True)},
            ),
            "frame_old",
        ),
        (
            Reply(
                picture(MORNING),
                headers={"Last-Modified": format_datetime(MORNING + HOUR, usegmt=True)},
            ),
            "frame_undated",
        ),
    ],
)
def test_what_is_no_new_picture_is_not_kept(
    collection: Collection, world: World, reply: Reply, reason: str
) -> None:
    world.broken[CAMERA] = reply
    (done,) = rounds(collection, world, 1, minutes=1)
    assert [refused.reason for refused in done.refused] == [reason]
    assert done.missing
    assert state_of(collection).refused == {reason: 1}
    assert reason in REASONS, "a sentence for people"
    world.broken.clear()
    (done,) = rounds(collection, world, 1, minutes=1)
    assert done.taken


def test_a_frozen_camera_is_noticed_however_it_sends_its_picture(
    collection: Collection, world: World
) -> None:
    frozen = cv2.imdecode(np.frombuffer(picture(MORNING), np.uint8), cv2.IMREAD_COLOR)
    first, second = (
        cv2.imencode(".png", frozen, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()
        for level in (1, 9)
    )
    assert first != second
    for reply in (first, first, second):
        world.broken[CAMERA] = Reply(reply)
        rounds(collection, world, 1, minutes=15)
    assert len(read_dataset(collection.folder).rows) == 1
    assert state_of(collection).refused == {"frame_frozen": 2}
    assert {"frame_frozen", "slot_taken"} < REASONS.keys()


def test_a_camera_may_date_its_frame(collection: Collection, world: World) -> None:
    stamp = format_datetime(MORNING - timedelta(minutes=3), usegmt=True)
    world.broken[CAMERA] = Reply(picture(MORNING), headers={"Last-Modified": stamp})
    rounds(collection, world, 1, minutes=15)
    assert list(labels(collection)) == ["28 07:57"]
    undated = replace(collection, folder=collection.folder.parent / "b", last_modified=False)
    world.clock = FakeClock(MORNING)
    rounds(undated, world, 1, minutes=15)
    assert list(labels(undated)) == ["28 08:00"]


def test_a_password_reaches_the_camera_and_nobody_else(
    collection: Collection, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    address = collection.address.replace("http://", "http://me:pa55word@") + "?token=t0ken"

    def guarded(asked: Asked) -> Reply:
        known = asked.headers.get("Authorization", "").startswith("Basic ")
        return Reply(b"pa55word", 403) if known else Reply(b"who?", 401)

    world.server.routes[CAMERA] = guarded
    (done,) = rounds(replace(collection, address=address), world, 1, minutes=1)
    told = " ".join(done.problems) + caplog.text.replace("token=t0ken", "")
    assert "403" in told and "pa55word" not in told
    assert "t0ken" not in " ".join(done.problems)
    assert [asked.query for asked in world.server.asked] == [{"token": "t0ken"}] * 2


def test_a_camera_that_asks_for_a_digest_never_sees_the_password(
    collection: Collection, world: World
) -> None:
    def guarded(asked: Asked) -> Reply:
        if asked.headers.get("Authorization", "").startswith("Digest "):
            return Reply(picture(MORNING))
        assert "Authorization" not in asked.headers
        challenge = 'Digest realm="camera", nonce="n0nce", qop="auth", algorithm=MD5'
        return Reply(b"", 401, {"WWW-Authenticate": challenge})

    world.server.routes[CAMERA] = guarded
    address = collection.address.replace("http://", "http://me:pa55word@")
    (done,) = rounds(replace(collection, address=address), world, 1, minutes=1)
    assert done.taken, done.problems


def test_a_camera_that_is_not_there_is_told(collection: Collection, world: World) -> None:
    (done,) = rounds(
        replace(collection, address="http://127.0.0.1:9/snapshot.jpg"), world, 1, minutes=1
    )
    assert "127.0.0.1:9" in done.problems[0]


# ---- a folder of frames


def put(folder: Path, name: str, data: bytes, taken: datetime) -> None:
    import os

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (taken.timestamp(), taken.timestamp()))


def test_a_folder_gives_what_it_got_while_nobody_looked(
    collection: Collection, world: World, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    collection = replace(collection, address="", frames=frames)
    (done,) = rounds(collection, world, 1, minutes=1)
    assert "no folder" in done.problems[0]
    for n in range(40):  # every 5 minutes: three in each quarter of an hour
        moment = MORNING + timedelta(minutes=5 * n)
        put(frames, f"day/{n:02d}.jpg", picture(moment), moment)
    put(frames, "stump.jpg", picture(MORNING)[:500], MORNING)
    world.clock.pass_by(hours=4)
    put(frames, "fresh.jpg", picture(world.clock.now())[:500], world.clock.now())
    done_all = rounds(collection, world, 3, minutes=20)
    assert [len(done.taken) for done in done_all] == [14, 0, 0]
    found = labels(collection)
    assert list(found)[:3] == ["28 08:00", "28 08:15", "28 08:30"]
    assert None not in list(found.values())
    assert_labels_are_true(collection)
    assert state_of(collection).refused == {"frame_unreadable": 2, "slot_taken": 26}


# ---- around it


def test_one_folder_one_camera_one_process(collection: Collection, world: World) -> None:
    rounds(collection, world, 1, minutes=15)
    with pytest.raises(CollectionError) as caught:
        rounds(replace(collection, camera="west"), world, 1, minutes=15)
    assert caught.value.code == "another_collection"

    def meanwhile(asked: Asked) -> Reply:
        with pytest.raises(CollectionError) as caught:
            collect_once(collection, world.siata(), world.clock)
        assert caught.value.code == "already_running"
        return Reply(picture(world.clock.now()))

    world.server.routes[CAMERA] = meanwhile
    (done,) = rounds(collection, world, 1, minutes=15)
    assert done.taken


def test_the_loop_keeps_to_the_minutes(collection: Collection, world: World) -> None:
    class EnoughError(Exception):
        pass

    done: list[Round] = []

    def report(each: Round) -> None:
        done.append(each)
        if len(done) == 20:
            raise EnoughError

    with pytest.raises(EnoughError):
        collect(collection, world.siata(), world.clock, report)
    taken = [file for each in done for file in each.taken]
    assert len(taken) >= 8
    assert {file.split("-")[-3] for file in taken} == {"00", "15", "30", "45"}, taken
    assert_labels_are_true(collection)
    assert sum(each.labelled for each in done) >= 4


def test_nothing_collected_is_told(collection: Collection) -> None:
    with pytest.raises(PM25Error, match="holds no collection"):
        state_of(collection)


def test_a_clock_that_woke_up_in_the_past_takes_no_frame(
    collection: Collection, world: World
) -> None:
    rounds(collection, world, 1)
    world.clock.pass_by(hours=-5)
    (done,) = rounds(collection, world, 1, hours=6)
    assert "Nothing is done until the clock is set" in done.problems[0]
    assert world.server.count(CAMERA) == 1
    (done,) = rounds(collection, world, 1)
    assert done.taken


def test_hours_that_end_at_half_past_are_found(
    collection: Collection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in India: the hour from 7:30 to 8:30 holds a frame of 8:00 by the clock of Medellín."""
    monkeypatch.setenv("OPENAQ_API_KEY", "a-key")
    place = {"latitude": collection.lat, "longitude": collection.lon}
    sensors = [{"id": 5, "parameter": {"id": 2}}]
    station = {"coordinates": place, "isMonitor": True, "name": "Half past", "sensors": sensors}

    def locations(_: Asked) -> Reply:
        last = {"utc": world.clock.now().isoformat()}
        return Reply({"results": [station | {"datetimeLast": last}]})

    def hours(_: Asked) -> Reply:
        ends = [MORNING.replace(second=0) + timedelta(minutes=30) + n * HOUR for n in range(-2, 5)]
        told = [openaq_hour(at, float(at.hour)) for at in ends if at <= world.clock.now()]
        return Reply({"results": told})

    world.server.routes |= {"/locations": locations, "/sensors/5/hours": hours}
    for _ in range(4):
        openaq = OpenAQ(base_url=world.server.url, clock=world.clock)
        collect_once(collection, openaq, world.clock)
        openaq.close()
        world.clock.pass_by(minutes=40)
    assert list(labels(collection).items())[:2] == [("28 08:00", 13.0), ("28 08:40", 14.0)]
    assert pairing(collection)[1]["window_ends_at"] == "2026-09-28T14:30:00+00:00"
