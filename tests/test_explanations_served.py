"""Explanations by a real TorchServe: alone, several at once, and in one batch with predictions."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from handlers.request import MAX_PHOTOS
from lifecycle.torchserve import Server
from tests.contract import assert_obeys
from tests.serving import (
    JPEG,
    JSON,
    METADATA,
    TRAINING_LIBRARIES,
    Client,
    as_text,
    is_answer,
    jpeg,
    worker_pids,
)

PATH = "/explanations/pm25"
LARGEST_REPLY = 4 * 2**20  # max_response_size in config.properties [bytes]


def test_an_explanation_is_a_prediction_that_says_why(client: Client, photo: bytes) -> None:
    body = json.dumps({"photo": as_text(photo), "metadata": METADATA}).encode()
    status, media_type, content = client.send(body, JSON, PATH)
    assert (status, media_type) == (200, "application/json")
    assert is_answer(content)
    assert_obeys(content, "ExplainedAnswer")
    _, _, predicted = client.send(body, JSON)
    assert content["pm25_estimate"] == predicted["pm25_estimate"]
    assert "explanation" not in predicted
    why = content["explanation"]
    change = sum(group["pm25_change"] for group in why["groups"])
    expected = why["baseline"]["pm25_estimate"] + change
    assert expected == pytest.approx(content["pm25_estimate"], rel=1e-9)
    assert why["groups"][0]["phrase"]["en"] in why["sentence"]["en"]
    assert why["groups"][0]["phrase"]["es"] in why["sentence"]["es"]
    for name in ("transmission", "sky"):
        png = np.frombuffer(base64.b64decode(why["overlays"][name]), np.uint8)
        assert cv2.imdecode(png, cv2.IMREAD_UNCHANGED).shape == (480, 640, 4)


def test_a_version_can_be_named(client: Client, photo: bytes) -> None:
    status, _, content = client.send(photo, JPEG, f"{PATH}/0.0.1")
    assert status == 200
    assert "explanation" in content


def test_as_many_photos_as_a_request_may_hold_are_explained(
    client: Client, server: Server, photo: bytes
) -> None:
    before = worker_pids(server)
    photos = [{"photo": as_text(photo)}, {"photo": as_text(b"none")}] * (MAX_PHOTOS // 2)
    body = json.dumps({"photos": photos}).encode()
    status, _, content = client.send(body, JSON, PATH)
    assert status == 200
    assert_obeys(content, "ExplainedAnswers")
    answered, refused = content["answers"][::2], content["answers"][1::2]
    assert all(is_answer(answer) and "explanation" in answer for answer in answered)
    assert {problem["status"] for problem in refused} == {415}
    assert MAX_PHOTOS * len(json.dumps(answered[0])) < LARGEST_REPLY
    assert worker_pids(server) == before


def test_a_batch_of_both_gives_each_its_own(client: Client, watched: str, photo: bytes) -> None:
    other = jpeg(150.0)
    asked = [(photo, True), (photo, False), (b"no photo", True), (other, False), (other, True)]

    def ask(what: tuple[bytes, bool]) -> tuple[int, dict[str, object], int, set[str]]:
        data, explain = what
        path = watched.replace("predictions", "explanations") if explain else watched
        status, told, content = client.exchange(data, JPEG, path)
        return status, content, int(told["X-Batch"]), set(str(told["X-Modules"]).split(","))

    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(ask, asked * 2))
    assert max(size for _, _, size, _ in replies) > 1
    for (data, explain), (status, content, _, modules) in zip(asked * 2, replies, strict=True):
        assert status == (415 if data == b"no photo" else 200)
        assert ("explanation" in content) == (explain and status == 200)
        assert not modules & {*TRAINING_LIBRARIES, "matplotlib", "shap"}
    estimates = {
        data: {
            c.get("pm25_estimate")
            for (d, _), (_, c, _, _) in zip(asked * 2, replies, strict=True)
            if d == data
        }
        for data in (photo, other)
    }
    assert all(len(found) == 1 for found in estimates.values())
