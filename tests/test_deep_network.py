"""Teaching the deep network: it learns, it is written as it was taught, the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from features.haze_network import LOG_DEPTHS, HazeNetwork
from training import deep_network
from training.deep_network import TransmissionNetwork, fit, train_deep
from training.haze_teacher import hazy_pictures, render_scenes


@pytest.mark.usefixtures("small_steps")
def test_the_written_network_is_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pool, rng = render_scenes(4, seed=1), np.random.default_rng(0)
    network = TransmissionNetwork()
    for _ in fit(network, pool, 10, rng):
        pass
    pictures = hazy_pictures(pool, rng, 10).pictures
    codes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    path = tmp_path / "deep.safetensors"
    path.write_bytes(save(network.in_whole_numbers(codes)))
    seen_by = HazeNetwork(path)
    with torch.inference_mode():
        output = network(codes)
    seen = [seen_by.map(picture) for picture in pictures]
    depth = np.stack([one.log_optical_depth for one in seen])
    assert np.abs(depth - output[:, 0].clamp(*LOG_DEPTHS).numpy()).mean() < 0.02
    ground = np.stack([one.ground for one in seen])
    assert np.abs(ground - output[:, 1].sigmoid().numpy()).mean() < 0.02


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting in steps of twelve pictures."""
    monkeypatch.setattr(deep_network, "SCENES_A_STEP", 4)


@pytest.mark.usefixtures("small_steps")
def test_fitting_lessens_the_error() -> None:
    torch.manual_seed(0)
    progress = list(
        fit(TransmissionNetwork(), render_scenes(4, seed=1), 40, np.random.default_rng(0))
    )
    assert progress[-1].step == progress[-1].steps == 40
    assert progress[-1].loss < 0.9 * progress[0].loss


@pytest.mark.usefixtures("small_steps")
def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train_deep(tmp_path / name, places=2, steps=2, seed=3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    HazeNetwork(tmp_path / "one")
