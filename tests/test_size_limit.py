"""The smallest photo that a server takes, as its environment says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import PhotoError, ServerError
from handlers.predictor import Predictor
from handlers.size_limit import DEFAULT_MIN_SIDE, VARIABLE, serving_min_side
from training.archive import RunningArchive
from training.dataset import DataSet


@pytest.mark.parametrize("text", ["", "  "])
def test_the_usual_limit(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert serving_min_side() == DEFAULT_MIN_SIDE == 512
    monkeypatch.setenv(VARIABLE, text)
    assert serving_min_side() == DEFAULT_MIN_SIDE


@pytest.mark.parametrize("text", ["0", "-5", "4001", "1e3", "512.0", "large", "٥١٢", "9" * 40])
def test_what_is_no_limit_is_said_at_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ServerError) as caught:
        serving_min_side()
    assert caught.value.code == "invalid_setting"
    assert VARIABLE in caught.value.detail and "4000" in caught.value.detail


def test_a_server_takes_what_it_was_set_to(
    fitted_artifact: Path, rendered: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rendered.rows[0].path.read_bytes()  # 512 × 384
    monkeypatch.setenv(VARIABLE, "384")
    assert Predictor.unproven(fitted_artifact).answer(data)
    monkeypatch.setenv(VARIABLE, "385")
    with pytest.raises(PhotoError) as caught:
        Predictor.unproven(fitted_artifact).answer(data)
    assert caught.value.code == "too_small" and "385" in caught.value.detail
    assert Predictor.unproven(fitted_artifact).answer(data, min_side=100)  # a data set's own


def test_an_archive_that_runs_alone_obeys_it_too(
    fitted_archive: Path, rendered: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: dict[str, object] = {"photo": str(rendered.rows[0].path)}
    monkeypatch.setenv(VARIABLE, "300")
    with RunningArchive(fitted_archive) as running:
        (reply,) = running.answers([request])
    assert "answer" in reply
