"""From a request to its reply: one photo's fault is no neighbour's, and nothing ever raises."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from features.errors import ArtifactError, MetadataError, PhotoError
from handlers import metrics, pm25_handler
from handlers.account import Account
from handlers.metrics import ANSWERED
from handlers.predictor import Predictor
from handlers.problem import PROBLEM_TYPE
from handlers.service import Reply, description, reply
from handlers.tally import Tally
from handlers.trace import Trace
from tests.torchserve_context import Context

ERRORS: dict[bytes, Exception] = {
    b"blurred": PhotoError("blurred", "The photo is blurred.", "Hold the camera still."),
    b"huge": PhotoError("too_large", "It is too large.", "Scale it down.", status=413),
    b"nowhere": MetadataError("out_of_range", "lat is 600 deg north.", "Allowed is -90 to 90."),
    b"broken": ArtifactError("tampered_archive", "It was changed.", "Fetch it again."),
    b"bug": ZeroDivisionError("at 6.2518, -75.5636"),
    b"memory": MemoryError("CUDA at 6.2518"),
}


class StandIn:
    """A predictor that fails as its photos say: the real one has no way to be asked for that."""

    manifest = SimpleNamespace(version="1.2.3", dataset_hash="d", feature_set="f")

    def answer(
        self,
        data: bytes,
        metadata: Mapping[str, object] | None = None,
        *,
        include: Collection[str] = (),
        min_side: int = 512,
        trace: Trace | None = None,
    ) -> dict[str, object]:
        if data in ERRORS:
            raise ERRORS[data]
        return {"pm25_estimate": float("nan") if data == b"nan" else 17.5, "uncertainty": 4.0}

    def explain(self, data: bytes, *arguments: Any, **more: Any) -> dict[str, object]:
        return {**self.answer(data), "explanation": {}}


def ask(data: bytes, **more: Any) -> tuple[Reply, dict[str, Any]]:
    answered = reply(StandIn(), {"body": bytearray(data)}, request_id="r-1", **more)
    return answered, json.loads(answered.body)


def test_an_answer_carries_its_time_and_its_request(predictor: Predictor, photo: bytes) -> None:
    answered = reply(predictor, {"body": bytearray(photo)}, request_id="r-1")
    assert (answered.status, answered.media_type) == (200, "application/json")
    content = json.loads(answered.body)
    assert content["interval"]["lower"] <= content["pm25_estimate"] <= content["interval"]["upper"]
    assert content["request_id"] == "r-1"
    (outcome,) = answered.outcomes
    assert outcome.code == ANSWERED
    assert content["processing_time"] == round(outcome.seconds, 4)
    assert outcome.answer == {k: content[k] for k in outcome.answer}
    assert 0 < sum(outcome.trace.seconds.values()) < outcome.seconds


def test_metadata_and_wishes_reach_the_predictor(predictor: Predictor, photo: bytes) -> None:
    def content(**metadata: object) -> dict[str, Any]:
        return dict(json.loads(reply(predictor, {"image": photo, "metadata": metadata}).body))

    assert not {"features", "quantiles"} & content().keys()
    wished = content(temperature_c=21.5, **{"return": ["features", "quantiles"]})
    assert wished["features"]["temperature_c"] == 21.5
    assert len(wished["quantiles"]) == 19


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"blurred", 422, "blurred"),
        (b"huge", 413, "too_large"),
        (b"nowhere", 422, "out_of_range"),
        (b"", 400, "missing_photo"),
        (b"broken", 500, "tampered_archive"),
        (b"bug", 500, "internal_error"),
        (b"memory", 500, "internal_error"),
        (b"nan", 500, "internal_error"),
    ],
)
def test_a_problem_says_what_to_do(data: bytes, status: int, code: str) -> None:
    answered, content = ask(data)
    assert (answered.status, answered.media_type) == (status, "application/problem+json")
    assert content["type"] == PROBLEM_TYPE + code
    assert content["status"] == status
    assert content["code"] == code
    assert content["request_id"] == "r-1"
    assert content["title"] and content["detail"] and content["how_to_fix"]
    assert [outcome.code for outcome in answered.outcomes] == [code]


@pytest.mark.parametrize("data", [b"bug", b"memory"])
def test_an_unforeseen_error_is_logged_by_its_place_and_never_by_its_words(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answered, _ = ask(data)
    assert type(ERRORS[data]).__name__ in caplog.text
    assert "r-1" in caplog.text
    assert "test_service.py" in caplog.text
    for text in (caplog.text, answered.body.decode()):
        assert "6.25" not in text
        assert "bug" not in text


def test_a_foreseen_error_is_the_client_s_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(b"nowhere")
    assert caplog.text == ""


def test_several_photos_fail_one_by_one() -> None:
    parts = {f"image_{i}": bytearray(data) for i, data in enumerate([b"a", *ERRORS, b"nan", b"z"])}
    answered = reply(StandIn(), parts, request_id="r-1")
    assert (answered.status, answered.media_type) == (200, "application/json")
    answers = json.loads(answered.body)["answers"]
    assert answers[0]["pm25_estimate"] == answers[-1]["pm25_estimate"] == 17.5
    assert [problem["status"] for problem in answers[1:-1]] == [422, 413, 422, 500, 500, 500, 500]
    assert [outcome.code for outcome in answered.outcomes][:2] == [ANSWERED, "blurred"]


def test_photos_that_would_come_too_late_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is always begun: a request with one photo has no such limit."""
    monkeypatch.setattr("handlers.service.TIME_LIMIT", 0.0)
    parts = {f"image_{i}": b"clear" for i in range(3)}
    answered = reply(StandIn(), parts, request_id="r-1")
    assert [outcome.code for outcome in answered.outcomes] == [ANSWERED, "time_limit", "time_limit"]
    first, *late = json.loads(answered.body)["answers"]
    assert first["pm25_estimate"] == 17.5
    assert [problem["status"] for problem in late] == [422, 422]
    assert reply(StandIn(), {"body": b"clear"}).status == 200


def test_a_request_that_breaks_the_parser_is_a_problem_too() -> None:
    answered = reply(StandIn(), {7: b"x"}, request_id="r-1")  # type: ignore[dict-item]
    assert answered.status == 500
    assert json.loads(answered.body)["code"] == "internal_error"


def test_the_model_describes_itself() -> None:
    assert json.loads(description(StandIn()).body)["model_version"] == "1.2.3"


# ---- the archive's entry, with a context of our own in the place of TorchServe's


@pytest.fixture
def account() -> Account:
    return Account(Tally("1.2.3"), None)


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, account: Account) -> Any:
    monkeypatch.setattr(pm25_handler, "_loaded", lambda *_: (StandIn(), account))
    return pm25_handler.handle


def counts(account: Account, metric: metrics.Metric) -> dict[str, float]:
    """What was counted of a metric, by its label."""
    found: dict[str, float] = {}

    def emit(reported: metrics.Metric, amount: float, labels: list[str]) -> None:
        if reported == metric:
            found[labels[1]] = amount

    account.tally.report(emit)
    return {label: amount for label, amount in found.items() if amount}


def test_one_bad_item_of_a_batch_fails_alone(entry: Any, account: Account) -> None:
    rows = [{"body": b"clear"}, {"body": b"bug"}, {}, {"body": b"blurred"}, {"image": b"clear"}]
    context = Context({"Content-Type": "image/jpeg", "body": {"content-type": "x"}}, {}, {}, {}, {})
    assert entry(None, context) is None
    replies = entry(rows, context)
    assert all(isinstance(body, bytes) for body in replies)
    assert list(context.status.values()) == [200, 500, 400, 422, 200]
    assert [json.loads(body)["request_id"] for body in replies] == [f"r-{i}" for i in range(5)]
    assert context.media_type[0] == "application/json"
    assert context.media_type[1] == "application/problem+json"
    assert counts(account, metrics.PHOTOS) == {"answered": 2, "refused": 2, "failed": 1}


def test_a_refusal_is_counted_by_its_reason(entry: Any, account: Account) -> None:
    rows = [{"body": b"bug"}, {"body": b"blurred"}, {"body": b"blurred"}]
    entry(rows, Context({}, {}, {}))
    assert counts(account, metrics.REFUSALS) == {"internal_error": 1, "blurred": 2}


def test_explain_and_describe_headers_change_nothing_for_their_neighbours(entry: Any) -> None:
    describe, explain = {"describe": "True"}, {"explain": "True"}
    rows = [{"body": b"clear"}, {"body": b"clear"}, {"body": b"clear"}, {}, {"body": bytearray()}]
    rows.append({"body": b"blurred"})
    context = Context(explain, describe, {}, describe, describe, explain)
    entry(None, context)
    replies = [json.loads(body) for body in entry(rows, context)]
    assert list(context.status.values()) == [200, 200, 200, 200, 200, 422]
    assert {reply.get("pm25_estimate") for reply in replies[:3]} == {17.5}
    assert ["explanation" in reply for reply in replies] == [True, *[False] * 5]
    assert replies[3] == replies[4]  # asked by the management API, and by a request without a body
    assert replies[3]["model_version"] == "1.2.3"
