"""The deep network in training, and its weights as a file: `make train-deep`.

python -m training.deep_network    # renders, fits and writes features/weights/deep.safetensors

Minimised over cells of ground: the smooth L1 error of u = ln(0.1 + optical depth), and beside it
the cross-entropy of the cell's share of ground. On one thread the same seed, platform and library
versions give the same bytes. `train` reads the file and never writes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from features.haze_network import LARGEST_CODE, LARGEST_EXACT, LARGEST_PIXEL, STRIDES, WEIGHTS
from training.haze_teacher import HazyPictures, ScenePool, hazy_pictures, render_scenes

CHANNELS = (16, 24, 48, 48, 48)
KERNELS = (4, 4, 4, 3, 3)  # even where the stride is 2: only then is a mirrored grid the same grid
SEED = 25
PLACES = 2000
STEPS = 450
SCENES_A_STEP = 20
LEARNING_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 50, 1e-3
GROUND_WEIGHT = 0.1  # of the cross-entropy
SKY_WEIGHT = 0.25  # of a cell of sky: its air is real, but clouds and blue air hide how much
LARGEST_WEIGHT = 2**15 - 1
FILLED_SHARE = 0.97  # of what a sum can hold; rounding takes the rest
HIGHEST_CUT = 1e-4  # of a layer's values lie above its highest code
_ERROR_KNEE = 0.3  # in u: from here on an error counts linearly
_REPORT_EVERY = 50  # steps


class MirrorSymmetricConvolution(nn.Conv2d):
    """A convolution whose kernels are their own mirror images, left to right."""

    def symmetric_weight(self) -> torch.Tensor:
        return 0.5 * (self.weight + self.weight.flip(-1))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(
            input, self.symmetric_weight(), self.bias, self.stride, self.padding
        )


class TransmissionNetwork(nn.Module):
    """Pictures (n, 3, 112, 160) of codes [0..255] → (n, 2, 14, 20): u, and the logit of ground."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *CHANNELS)
        self.convolutions = nn.ModuleList(
            MirrorSymmetricConvolution(n_in, n_out, kernel, stride, padding=1, bias=False)
            for n_in, n_out, kernel, stride in zip(
                widths[:-1], CHANNELS, KERNELS, STRIDES, strict=True
            )
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in CHANNELS)
        self.head = nn.Conv2d(CHANNELS[-1], 2, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = pictures / 255
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x)).relu()
        result: torch.Tensor = self.head(x)
        return result

    def in_whole_numbers(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """This network as `HazeNetwork` runs it: weights, biases and activations whole numbers.

        Batch norms go into weights and biases. The codes of a channel end at the level that all
        but HIGHEST_CUT of its values stay under, for the given pictures (n, 3, 112, 160); weights
        are as fine as exact sums allow. Of layer n: n.weight int16, n.bias int32, n.scale float32.
        """
        tensors: dict[str, torch.Tensor] = {}
        step, largest = torch.full((3,), 1 / LARGEST_PIXEL), LARGEST_PIXEL  # of the input's codes
        x = pictures / LARGEST_PIXEL
        with torch.no_grad():
            for number, (weight, bias, stride) in enumerate(self._plain_convolutions()):
                last = number == len(CHANNELS)
                x = functional.conv2d(x, weight, bias, stride, 0 if last else 1).relu()
                weight = weight * step[None, :, None, None]
                magnitude = weight.abs().sum(dim=(1, 2, 3)) * largest + bias.abs()
                worth = magnitude / (FILLED_SHARE * LARGEST_EXACT)
                worth = worth.maximum(weight.abs().amax(dim=(1, 2, 3)) / LARGEST_WEIGHT)
                whole = (weight / worth[:, None, None, None]).round()
                tensors[f"{number}.weight"] = whole.to(torch.int16).contiguous()
                tensors[f"{number}.bias"] = (bias / worth).round().to(torch.int32)
                largest = LARGEST_CODE
                step = torch.ones(len(bias)) if last else _highest(x) / largest
                tensors[f"{number}.scale"] = (worth / step).contiguous()
        return tensors

    def _plain_convolutions(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
        """Weight, bias and stride of each layer, its batch norm folded in; the head is the last."""
        for convolution, norm, stride in zip(self.convolutions, self.norms, STRIDES, strict=True):
            assert isinstance(convolution, MirrorSymmetricConvolution)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_var is not None
            assert norm.running_mean is not None
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = convolution.symmetric_weight() * gain[:, None, None, None]
            yield weight, norm.bias - gain * norm.running_mean, stride
        assert self.head.bias is not None
        yield self.head.weight, self.head.bias, 1


@dataclass(frozen=True)
class Progress:
    """step of steps done, and the running mean of the loss."""

    step: int
    steps: int
    loss: float


def _highest(values: torch.Tensor) -> torch.Tensor:
    """The level of each channel that all but HIGHEST_CUT of `values` (n, c, h, w) stay under."""
    channels = values.transpose(0, 1).flatten(1)
    rank = max(int(channels.shape[1] * (1 - HIGHEST_CUT)), 1)
    return channels.kthvalue(rank, dim=1).values.clamp(min=1e-6)


def loss(network: TransmissionNetwork, batch: HazyPictures) -> torch.Tensor:
    """The error that is minimised, a scalar ≥ 0."""
    pictures = torch.from_numpy(batch.pictures).permute(0, 3, 1, 2).float()
    ground = torch.from_numpy(batch.ground)
    output = network(pictures)
    errors = functional.smooth_l1_loss(
        output[:, 0], torch.from_numpy(batch.depth), reduction="none", beta=_ERROR_KNEE
    )
    weights = torch.where(ground > 0.5, 1.0, SKY_WEIGHT)
    depth_error = (errors * weights).sum() / weights.sum()
    ground_error = functional.binary_cross_entropy_with_logits(output[:, 1], ground)
    total: torch.Tensor = depth_error + GROUND_WEIGHT * ground_error
    return total


def fit(
    network: TransmissionNetwork, pool: ScenePool, steps: int, rng: np.random.Generator
) -> Iterator[Progress]:
    """Fit `network` in place to freshly drawn pictures; yields after every step."""
    network.train()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    running = 0.0
    for step in range(steps):
        rate = LEARNING_RATE * min(1, (step + 1) / WARM_UP)
        for group in optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * step / steps)) + 1e-5
        value = loss(network, hazy_pictures(pool, rng, SCENES_A_STEP))
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        running = value.item() if step == 0 else 0.98 * running + 0.02 * value.item()
        yield Progress(step + 1, steps, running)
    network.eval()


def train_deep(path: Path, *, places: int = PLACES, steps: int = STEPS, seed: int = SEED) -> None:
    """Render, fit, and write the weights to `path` in one step; prints where it stands."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    start = time.monotonic()
    pool = render_scenes(places, seed)
    print(f"{len(pool)} scenes rendered in {time.monotonic() - start:.0f} s", flush=True)
    network = TransmissionNetwork()
    for progress in fit(network, pool, steps, np.random.default_rng(seed)):
        if progress.step % _REPORT_EVERY == 0 or progress.step == steps:
            seconds = time.monotonic() - start
            print(f"step {progress.step} of {steps}, loss {progress.loss:.3f}, {seconds:.0f} s")
    seen = hazy_pictures(pool, np.random.default_rng([seed, 1]), SCENES_A_STEP).pictures
    sample = torch.from_numpy(seen).permute(0, 3, 1, 2).float()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(save(network.in_whole_numbers(sample)))
    part.replace(path)


if __name__ == "__main__":
    train_deep(WEIGHTS)
