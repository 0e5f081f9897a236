"""Whether the photo tells more than one knows without it.

    skill = 1 − score / score of the reference

in MAE, RMSE and CRPS: 1 is perfect, 0 no better, below 0 worse (Murphy 1988,
doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2). The references, each fitted without the photos
it is asked about:

    training_median                a constant
    climatology                    mean label of the same place, month and quarter of the day
    weather_and_sun_without_photo  the same models without any feature of the photo

A reference that is one number has its MAE for its CRPS, and skill in CRPS against it also rewards
that there is an interval at all. The difference of both scores on the same photos has an interval
by bootstrap over whole sessions: losses of one session are not independent, which is what Diebold
& Mariano (1995, doi:10.1080/07350015.1995.10524599) correct for in a series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataSetError
from training.held_out import HeldOutAnswers
from training.table import WITHOUT_PHOTO
from training.validation.bootstrap import Resampling
from training.validation.probabilistic import crps

Array = NDArray[np.float64]

_SCORES = ("mae", "rmse", "crps")


def skill(
    answers: HeldOutAnswers,
    weather_only: HeldOutAnswers | None = None,
    resampling: Resampling | None = None,
) -> dict[str, dict[str, Any] | None]:
    """Skill against every reference, by its name; None for `weather_only` that is not there.

    n               photos compared: with `weather_only` those that both have answered
    mae, rmse, crps each {score, reference, skill, skill_interval, difference,
                    difference_interval}; the difference is reference − score [ug m-3], above 0
                    where the photo helps
    Undefined is None: without photos everything, the skill where the reference makes no error.
    """
    drawn = resampling or Resampling()
    blocks: dict[str, dict[str, Any] | None] = {
        "training_median": _compared(answers, _constant_losses(answers, answers.constant), drawn),
        "climatology": _compared(answers, _constant_losses(answers, answers.climatology), drawn),
        WITHOUT_PHOTO: None,
    }
    if weather_only is not None:
        ours, theirs = aligned(answers, weather_only)
        blocks[WITHOUT_PHOTO] = _compared(ours, _losses(theirs), drawn)
    return blocks


def aligned(one: HeldOutAnswers, other: HeldOutAnswers) -> tuple[HeldOutAnswers, HeldOutAnswers]:
    """The photos that both hold, in the order of `one`; a photo is its site, session and file.

    Raises DataSetError where a photo stands twice, or where both give it another label.
    """
    mine, theirs = _keys(one), _keys(other)
    place = {key: row for row, key in enumerate(theirs)}
    if len(place) < len(theirs) or len(set(mine)) < len(mine):
        raise _unlike("A photo stands twice among the answers; they cannot be aligned.")
    rows = np.array([row for row, key in enumerate(mine) if key in place], dtype=np.int64)
    matches = np.array([place[mine[int(row)]] for row in rows], dtype=np.int64)
    ours, matched = one.of(rows), other.of(matches)
    if not np.allclose(ours.pm25, matched.pm25, rtol=1e-4, atol=1e-4):
        raise _unlike("The same photo has two labels; these answers are of different data.")
    return ours, matched


def _compared(answers: HeldOutAnswers, reference: Array, resampling: Resampling) -> dict[str, Any]:
    """Blocks of each score from losses (n, 3): absolute and squared error, CRPS."""
    losses = np.column_stack([_losses(answers), reference])
    intervals = resampling.of_means(
        answers,
        losses,
        {
            f"{name} {what}": _figure(i, what)
            for i, name in enumerate(_SCORES)
            for what in ("skill", "difference")
        },
    )
    block: dict[str, Any] = {"n": len(answers)}
    means = losses.mean(axis=0, keepdims=True) if len(answers) else np.full((1, 6), np.nan)
    for i, name in enumerate(_SCORES):
        figures = {
            "score": _scored(means, i),
            "reference": _scored(means, i + len(_SCORES)),
            "skill": _figure(i, "skill")(means),
            "difference": _figure(i, "difference")(means),
        }
        block[name] = {key: _number(value) for key, value in figures.items()} | {
            "skill_interval": intervals[f"{name} skill"],
            "difference_interval": intervals[f"{name} difference"],
        }
    return block


def _unlike(detail: str) -> DataSetError:
    how_to_fix = "Name the folder of one whole training run; `make train` leaves one."
    return DataSetError("unlike_held_out_answers", detail, how_to_fix)


def _keys(answers: HeldOutAnswers) -> list[tuple[str, str, str]]:
    columns = (answers.site.tolist(), answers.session.tolist(), answers.file.tolist())
    return list(zip(*columns, strict=True))


def _losses(answers: HeldOutAnswers) -> Array:
    error = answers.estimate - answers.pm25
    return np.column_stack([np.abs(error), error**2, crps(answers)])


def _constant_losses(answers: HeldOutAnswers, constant: Array) -> Array:
    error = constant - answers.pm25
    return np.column_stack([np.abs(error), error**2, np.abs(error)])


def _scored(means: Array, column: int) -> Array:
    mean = means[:, column]
    return np.sqrt(mean) if _SCORES[column % len(_SCORES)] == "rmse" else mean


def _figure(column: int, what: str) -> Any:
    """Skill, or difference, of one score from means (…, 6) of both losses; nan where undefined."""

    def figure(means: Array) -> Array:
        score, reference = _scored(means, column), _scored(means, column + len(_SCORES))
        if what == "difference":
            return reference - score
        any_error = reference > 0
        return np.where(any_error, 1 - score / np.where(any_error, reference, 1.0), np.nan)

    return figure


def _number(values: Array) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
