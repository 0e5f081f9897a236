"""Why an answer is what it is: parts, words and maps in the answer that the service gives."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.meteorology import FAMILY as METEOROLOGY
from features.overlay import overlays_of
from features.photo import decode_photo
from handlers.contributions import contributions
from handlers.explanation import LISTED, explanation
from handlers.plain_words import GROUP_OF, GROUPS, SITUATIONS, sentence
from handlers.predictor import Predictor
from handlers.service import reply
from handlers.trace import EXPLANATION
from tests.contract import assert_obeys
from training.dataset import DataSet
from training.package import ROOT

PEOPLE_SAY_NO = ("ln", "σ", "shapley", "extinction", "transmission", "transmisión", "feature")


def explained(predictor: Predictor, photo: bytes, **metadata: object) -> dict[str, Any]:
    return dict(predictor.explain(photo, metadata, min_side=100))


@pytest.fixture(scope="module")
def answers(predictor: Predictor, rendered: DataSet) -> list[dict[str, Any]]:
    """Photos of known cameras, seen as theirs and as of an unknown place."""
    rows = [row for row in rendered.rows if row.camera][::7]
    damp = {"relative_humidity_pct": 90.0, "temperature_c": 12.0, "wind_speed_ms": 1.0}
    return [
        explained(predictor, row.path.read_bytes(), **more)
        for row in rows
        for more in ({}, {"camera": row.camera}, {"camera": row.camera, **damp})
    ]


def test_an_explanation_leaves_the_answer_as_it_is(predictor: Predictor, photo: bytes) -> None:
    answer = predictor.answer(photo, {}, include=["quantiles"])
    more = predictor.explain(photo, {}, include=["quantiles"])
    assert more.keys() - answer.keys() == {"explanation"}
    assert {name: more[name] for name in answer} == answer


def test_explained_answers_obey_the_contract(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        assert_obeys({**answer, "processing_time": 0.1, "request_id": "r"}, "ExplainedAnswer")


def test_parts_sum_and_multiply_to_the_estimate(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        estimate, why = answer["pm25_estimate"], answer["explanation"]
        baseline = why["baseline"]["pm25_estimate"]
        for parts in ([*why["features"], why["other_features"]], why["groups"]):
            change = sum(part["pm25_change"] for part in parts)
            factor = np.prod([part["factor"] for part in parts])
            assert baseline + change + why["unexplained"] == pytest.approx(estimate, rel=1e-9)
            assert baseline * factor == pytest.approx(estimate, rel=1e-9)
        assert abs(why["unexplained"]) < 1e-6
        shares = why["shares"]
        assert shares["shapley"] + shares["aumann_shapley"] == pytest.approx(1.0)
        assert 0.0 < shares["listed"] <= 1.0


def test_what_moved_most_comes_first_and_says_which_way(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        why = answer["explanation"]
        assert 0 < len(why["features"]) <= LISTED
        for parts in (why["features"], why["groups"]):
            moved = [abs(np.log(part["factor"])) for part in parts]
            assert moved == sorted(moved, reverse=True)
            for part in parts:
                up = part["factor"] > 1.0
                assert part["direction"] == ("raises" if up else "lowers")
                assert (part["pm25_change"] > 0.0) == up
        for part in why["features"]:
            assert part["unit"] and part["meaning"]
            assert part["value"] != part["usual"]


def test_a_feature_that_is_as_usual_moves_nothing(predictor: Predictor, rendered: DataSet) -> None:
    """`usual` is in the feature's own unit, for a known camera as for a new place."""
    for camera in (None, next(row.camera for row in rendered.rows if row.camera)):
        estimator = predictor.estimator
        X = np.full((1, len(estimator.names)), np.nan)
        X[0] = contributions(estimator, X, camera).usual
        parts = contributions(estimator, X, camera)
        growth = estimator.names.index("humidity_growth")
        parts.ln[growth] = 0.0  # the correction has a usual humidity of its own
        np.testing.assert_allclose(parts.ln, 0.0, atol=1e-9)


# ---- words


def test_every_feature_has_words_in_both_languages() -> None:
    names = {*ScientificFeatureExtractor().names, *METEOROLOGY.names}
    assert GROUP_OF.keys() == names
    assert set(GROUP_OF.values()) == GROUPS.keys()
    for words in GROUPS.values():
        assert words.en and words.es and words.en != words.es


def test_the_sentence_names_what_moved_most(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        why = answer["explanation"]
        most = max(why["groups"], key=lambda group: abs(group["pm25_change"]))
        for language, ways in (("en", ("up", "down")), ("es", ("hacia arriba", "hacia abajo"))):
            said = why["sentence"][language]
            named = sorted(
                (said.index(phrase), name)
                for name, words in GROUPS.items()
                if (phrase := getattr(words, language)) in said
            )
            assert named[0][1] == most["group"]
            first = re.search("|".join(f" {way}," for way in ways), said)
            assert first and first[0] == f" {ways[most['direction'] == 'lowers']},"
            rose = answer["pm25_estimate"] > why["baseline"]["pm25_estimate"]
            assert len(named) == (1 if rose == (most["direction"] == "raises") else 2)
            assert "PM2.5" in said and "µg/m³" in said


@given(
    st.floats(0.5, 900.0),
    st.floats(0.5, 900.0),
    st.sampled_from(sorted(SITUATIONS)),
    st.dictionaries(st.sampled_from(sorted(GROUPS)), st.floats(-500.0, 500.0), max_size=4),
)
def test_a_sentence_is_one_and_plain(
    estimate: float, baseline: float, models: str, changes: dict[str, float]
) -> None:
    for said in sentence(estimate, baseline, models, changes):
        assert said[0].isupper() and said.endswith(".")
        assert not re.search(r"\.\s", said)
        assert len(said) < 320
        assert not any(re.search(rf"\b{word}\b", said.lower()) for word in PEOPLE_SAY_NO)
        assert "nan" not in said.split()


def test_numbers_are_said_as_people_say_them() -> None:
    said = sentence(9.96, 9.84, "new_place", {"haze": 0.12})
    assert "about 10 µg" in said.en and "against 9.8 for" in said.en and "0.1 up" in said.en
    assert (
        "unos 10 µg" in said.es and "frente a 9,8 en" in said.es and "0,1 hacia arriba" in said.es
    )
    assert "less than 0.1 down" in sentence(20.0, 20.0, "new_place", {"wind": -0.001}).en
    assert "7 up" in sentence(27.0, 20.0, "new_place", {"wind": 7.0}).en


def test_what_moved_most_against_the_whole_is_not_left_alone() -> None:
    """Damp air lowered what haze raised more: who reads of the air alone would be puzzled."""
    changes = {"humidity": -11.1, "haze": 8.0, "colour": 7.2}
    said = sentence(31.0, 18.0, "fixed_view", changes)
    assert said.en.endswith(
        "what moved it most, 11 down, is the humidity of the air, and against it, 8 up, "
        "the haze in front of distant things."
    )
    assert said.es.endswith(
        "lo que más cambió el resultado, 11 hacia abajo, fue la humedad del aire, y en contra, "
        "8 hacia arriba, la bruma delante de lo lejano."
    )
    assert "haze" not in sentence(12.0, 18.0, "fixed_view", changes).en


def test_where_nothing_moved_the_sentence_says_so(predictor: Predictor, photo: bytes) -> None:
    estimator = predictor.estimator
    nothing = np.full((1, len(estimator.names)), np.nan)
    seen = decode_photo(photo)
    parts = contributions(estimator, nothing, None)
    why: Any = explanation(parts, {}, seen, overlays_of(light_of(seen.pixels)))
    assert why["features"] == why["groups"] == []
    assert why["shares"] == {"listed": None, "shapley": None, "aumann_shapley": None}
    assert why["other_features"] == {"n": 0, "factor": 1.0, "pm25_change": 0.0}
    assert "tells us nothing" in why["sentence"]["en"]
    assert "no nos dice nada" in why["sentence"]["es"]
    json.dumps(why, allow_nan=False)
    assert_obeys(why, "Explanation")


def test_the_sentence_follows_the_parts(predictor: Predictor, photo: bytes) -> None:
    """Another feature moves most, another phrase is said."""
    estimator = predictor.estimator
    seen = decode_photo(photo)
    overlays = overlays_of(light_of(seen.pixels))
    X = np.full((1, len(estimator.names)), np.nan)
    parts = contributions(estimator, X, None)
    for name in ("wind_speed_ms", "far_veil_mean", "rain_mm", "skyline_step"):
        ln = np.zeros(len(parts.names))
        ln[parts.names.index(name)] = -0.3
        moved = replace(parts, ln=ln, estimate=parts.baseline * float(np.exp(-0.3)))
        why: Any = explanation(moved, {name: 1.0}, seen, overlays)
        assert GROUPS[GROUP_OF[name]].en in why["sentence"]["en"]
        assert GROUPS[GROUP_OF[name]].es in why["sentence"]["es"]


# ---- maps


def test_maps_decode_to_the_photos_proportions(answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        maps = answer["explanation"]["overlays"]
        assert (maps["photo_width"], maps["photo_height"]) == (512, 384)
        assert (maps["width"], maps["height"]) == (640, 480)
        for name in ("transmission", "sky"):
            png = np.frombuffer(base64.b64decode(maps[name], validate=True), np.uint8)
            assert cv2.imdecode(png, cv2.IMREAD_UNCHANGED).shape == (480, 640, 4)


# ---- the service


def test_several_photos_are_explained_one_by_one(predictor: Predictor, photo: bytes) -> None:
    parts = {"image_1": photo, "image_2": b"no photo", "image_3": photo}
    answered = reply(predictor, parts, request_id="r", explain=True)
    first, second, third = json.loads(answered.body)["answers"]
    assert answered.status == 200
    assert second["status"] == 415
    assert "explanation" not in second
    assert first["explanation"] == third["explanation"]
    assert [outcome.code for outcome in answered.outcomes] == [
        *("answered", "unsupported_media_type", "answered")
    ]
    assert answered.outcomes[0].trace.seconds[EXPLANATION] > 0.0


def test_every_field_of_an_explanation_is_documented(answers: list[dict[str, Any]]) -> None:
    page = (ROOT / "docs" / "how-to" / "explain-an-answer.md").read_text(encoding="utf-8")

    def names_in(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(names_in, value.values()))
        return set().union(*map(names_in, value)) if isinstance(value, list) else set()

    fields = names_in(answers[1]["explanation"])
    assert {name for name in fields if not re.search(rf"\b{name}\b", page)} == set()
    for situation in SITUATIONS:
        assert f"`{situation}`" in page
