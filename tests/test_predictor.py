"""From real JPEG bytes to the answer, with everything that a request may or may not say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from features.errors import MetadataError, PhotoError
from handlers.predictor import Predictor
from handlers.trace import STAGES, Trace
from training.dataset import DataSet

# The answer of the design, less what the server adds: processing_time and request_id.
ANSWER = {
    *("pm25_estimate", "uncertainty", "uncertainty_parts", "interval", "intervals", "confidence"),
    *("air_quality", "quality", "applicability", "camera_reference"),
    *("metadata_used", "model_version", "dataset_hash", "feature_set"),
}
NOON = {"captured_at": "2025-03-01T12:00:00-05:00", "lat": 6.25, "lon": -75.57}
SMALL = 300  # [px] below the photos' 384


def ask(predictor: Predictor, data: bytes, **metadata: object) -> dict[str, Any]:
    return predictor.answer(data, metadata, min_side=SMALL)


def codes(findings: Iterable[dict[str, Any]]) -> set[str]:
    return {finding["code"] for finding in findings}


@pytest.fixture(scope="module")
def data(rendered: DataSet) -> bytes:
    """A JPEG file of a rendered scene, 512 × 384 px, without EXIF."""
    return rendered.rows[0].path.read_bytes()


def with_exif(data: bytes, hour: int) -> bytes:
    """The file with a time in its zone and a position, as a phone writes them; pixels as before."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = f"2025:03:01 {hour:02d}:00:00"
    exif.get_ifd(0x8769)[36881] = "-05:00"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (IFDRational(6), IFDRational(15), IFDRational(0))
    gps[3], gps[4] = "W", (IFDRational(75), IFDRational(34), IFDRational(12))
    segment = exif.tobytes()
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


def test_the_answer_has_exactly_the_keys_of_the_design(predictor: Predictor, data: bytes) -> None:
    answer = ask(predictor, data, **NOON)
    assert set(answer) == ANSWER
    assert set(answer["uncertainty_parts"]) == {"epistemic", "aleatoric"}
    assert set(answer["interval"]) == {"level", "lower", "upper"}
    assert set(answer["quality"]) == {"is_valid", "quality_score", "issues"}
    assert set(answer["applicability"]) == {"score", "warnings"}
    assert [entry["standard"] for entry in answer["air_quality"]] == [
        *("us_epa_2024", "co_ica_2254_2017")
    ]
    for entry in answer["air_quality"]:
        assert set(entry) == {"standard", "index", "category", "as_if_24h"}
    for finding in (*answer["quality"]["issues"], *answer["applicability"]["warnings"]):
        assert set(finding) == {"code", "severity", "detail", "how_to_fix"}
    json.dumps(answer, allow_nan=False)


def test_its_figures_fit_together(predictor: Predictor, rendered: DataSet) -> None:
    for row in rendered.rows[::6]:
        answer = ask(predictor, row.path.read_bytes(), camera=row.camera or None)
        interval, parts = answer["interval"], answer["uncertainty_parts"]
        estimate = answer["pm25_estimate"]
        assert 0 <= interval["lower"] <= estimate <= interval["upper"]
        assert interval["level"] == 0.9
        assert answer["uncertainty"] == pytest.approx(np.hypot(*parts.values()))
        confidence = np.sqrt(interval["lower"] / interval["upper"])
        assert answer["confidence"] == pytest.approx(confidence)
        assert 0 < answer["confidence"] <= 1
        assert 0 <= answer["applicability"]["score"] <= 1


def test_it_says_who_answers(predictor: Predictor, data: bytes) -> None:
    answer = ask(predictor, data)
    manifest = predictor.manifest
    assert (answer["model_version"], answer["dataset_hash"], answer["feature_set"]) == (
        *("0.0.1", manifest.dataset_hash, manifest.feature_set),
    )


def test_the_same_request_gets_the_same_answer(predictor: Predictor, data: bytes) -> None:
    assert ask(predictor, data, **NOON) == ask(predictor, data, **NOON)


def test_it_answers_what_the_estimator_says(
    predictor: Predictor, rendered: DataSet, estimator: Any, table: Any
) -> None:
    """The rows of training and the bytes of a request take the same road."""
    estimates = estimator.estimate(table.X, table.cameras)
    for i in (0, 21, 45):
        row = rendered.rows[i]
        given = {k: v for k, v in vars(row.metadata).items() if v is not None}
        answer = ask(predictor, row.path.read_bytes(), **given)
        assert answer["pm25_estimate"] == pytest.approx(estimates.pm25[i], rel=1e-6)
        for given_interval in (answer["interval"], *answer["intervals"]):
            lower, upper = estimates.interval(given_interval["level"])
            assert given_interval["lower"] == pytest.approx(lower[i], rel=1e-6)
            assert given_interval["upper"] == pytest.approx(upper[i], rel=1e-6)
        assert [further["level"] for further in answer["intervals"]] == [0.5, 0.8, 0.95]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_any_kind_of_file_is_answered(predictor: Predictor, data: bytes, kind: str) -> None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    again = cv2.imencode(f".{kind}", pixels)[1].tobytes()
    estimate = ask(predictor, again, **NOON)["pm25_estimate"]
    assert estimate == pytest.approx(ask(predictor, data, **NOON)["pm25_estimate"], rel=0.2)


def test_time_and_place_come_from_exif_where_the_request_is_silent(
    predictor: Predictor, data: bytes
) -> None:
    tagged = with_exif(data, 12)
    assert "unknown_sun" in codes(ask(predictor, data)["applicability"]["warnings"])
    from_exif, from_request = ask(predictor, tagged), ask(predictor, data, **NOON)
    assert "unknown_sun" not in codes(from_exif["applicability"]["warnings"])
    assert from_exif["pm25_estimate"] == pytest.approx(from_request["pm25_estimate"], rel=1e-6)
    for answer, source in ((from_exif, "exif"), (from_request, "request")):
        assert answer["metadata_used"] == {
            "captured_at": {"value": NOON["captured_at"], "source": source},
            "place": {"lat": 6.2, "lon": -75.6, "source": source},
        }


def test_what_the_request_says_goes_before_exif(predictor: Predictor, data: bytes) -> None:
    at_night = with_exif(data, 23)
    assert "night" in codes(ask(predictor, at_night)["applicability"]["warnings"])
    corrected = ask(predictor, at_night, captured_at=NOON["captured_at"])
    assert "night" not in codes(corrected["applicability"]["warnings"])
    elsewhere = ask(predictor, at_night, lat=35.7, lon=139.7)  # in Tokyo it is day
    assert "night" not in codes(elsewhere["applicability"]["warnings"])


def test_night_is_a_warning_and_no_refusal(predictor: Predictor, data: bytes) -> None:
    answer = ask(predictor, data, **NOON | {"captured_at": "2025-03-01T23:00:00-05:00"})
    assert answer["quality"]["is_valid"]
    assert "night" in codes(answer["applicability"]["warnings"])


def test_a_known_camera_names_its_reference(predictor: Predictor, rendered: DataSet) -> None:
    row = rendered.rows[0]
    data = row.path.read_bytes()
    answer = ask(predictor, data, camera=row.camera, **NOON)
    assert answer["camera_reference"] == {"camera": row.camera, "n": 10, "version": "0.0.1"}
    assert "unseen_camera" not in codes(answer["applicability"]["warnings"])
    unseen, nameless = (
        ask(predictor, data, camera="a_balcony", **NOON),
        ask(predictor, data, **NOON),
    )
    assert unseen["camera_reference"] is nameless["camera_reference"] is None
    assert "unseen_camera" in codes(unseen["applicability"]["warnings"])
    assert "unseen_camera" not in codes(nameless["applicability"]["warnings"])
    assert unseen["pm25_estimate"] == nameless["pm25_estimate"] != answer["pm25_estimate"]


def test_features_and_quantiles_come_when_asked_for(predictor: Predictor, data: bytes) -> None:
    answer: Any = predictor.answer(data, NOON, include=("features", "quantiles"), min_side=SMALL)
    assert set(answer) == ANSWER | {"features", "quantiles"}
    assert set(answer["features"]) == set(predictor.estimator.names)
    assert answer["features"]["temperature_c"] is None
    assert answer["features"]["sun_elevation_deg"] == pytest.approx(75, abs=5)
    assert answer["quantiles"] == sorted(answer["quantiles"])
    assert answer["quantiles"][9] == pytest.approx(answer["pm25_estimate"])
    json.dumps(answer, allow_nan=False)


def test_a_client_s_photo_must_be_large_enough(predictor: Predictor, data: bytes) -> None:
    with pytest.raises(PhotoError) as caught:
        predictor.answer(data)
    assert caught.value.status == 422
    assert "384" in caught.value.detail and "512" in caught.value.detail + caught.value.how_to_fix
    assert predictor.answer(data, min_side=384)
    with pytest.raises(PhotoError):
        predictor.answer(data, min_side=385)


@pytest.mark.parametrize(
    "damage", [b"", b"no photo", b"\xff\xd8\xff\xe0" + bytes(100), b"GIF89a" + bytes(100)]
)
def test_what_is_no_photo_is_refused(predictor: Predictor, damage: bytes) -> None:
    with pytest.raises(PhotoError) as caught:
        predictor.answer(damage)
    assert caught.value.code and caught.value.detail and caught.value.how_to_fix
    assert 400 <= caught.value.status < 500


def test_a_photo_without_content_is_refused(predictor: Predictor) -> None:
    grey = cv2.imencode(".png", np.full((600, 800, 3), 128, np.uint8))[1].tobytes()
    with pytest.raises(PhotoError) as caught:
        predictor.answer(grey)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"lat": 91, "lon": 0}, "lat"),
        ({"lat": 6.2}, "lon"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"captured_at": "2025-03-01T12:00:00"}, "captured_at"),
        ({"temperature_c": "warm"}, "temperature_c"),
        ({"relative_humidity_pct": 130}, "relative_humidity_pct"),
        ({"rain_mm": float("nan")}, "rain_mm"),
        ({"site": "milan"}, "site"),
        ({"pm25": 12.0}, "pm25"),
    ],
)
def test_bad_metadata_is_refused_by_name(
    predictor: Predictor, data: bytes, metadata: dict[str, object], named: str
) -> None:
    with pytest.raises(MetadataError) as caught:
        predictor.answer(data, metadata, min_side=SMALL)
    assert named in caught.value.detail
    assert caught.value.status == 422


def test_every_stage_is_timed_and_what_was_seen_is_told(predictor: Predictor, data: bytes) -> None:
    trace = Trace()
    start = time.perf_counter()
    answer: Any = predictor.answer(data, NOON, include=["features"], min_side=SMALL, trace=trace)
    taken = time.perf_counter() - start
    assert trace.seconds.keys() == set(STAGES)
    assert min(trace.seconds.values()) > 0
    assert 0.5 * taken < sum(trace.seconds.values()) < taken
    assert trace.metadata.lat == NOON["lat"]
    finite = {name: value for name, value in trace.features.items() if np.isfinite(value)}
    assert finite == {name: v for name, v in answer["features"].items() if v is not None}


def test_a_refused_photo_tells_how_far_it_came(predictor: Predictor, data: bytes) -> None:
    trace = Trace()
    with pytest.raises(PhotoError):
        predictor.answer(data, trace=trace)
    assert trace.seconds.keys() == {"decode", "quality", "features"}
    assert not trace.features


def test_a_loaded_predictor_answers_like_the_first(
    predictor: Predictor, fitted_artifact: Path, data: bytes
) -> None:
    assert ask(Predictor.load(fitted_artifact), data, **NOON) == ask(predictor, data, **NOON)
