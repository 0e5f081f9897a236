"""How well features tell the data sets apart: what a model could learn of them instead of haze.

A feature that is always higher in one data set than in another invites a model to answer with that
set's usual PM2.5. Two readings, both over sessions, so that frames of one visit count once:

    of one feature    the area under its ROC curve, 0.5 where it says nothing of the set. PM2.5
                      itself differs between sets, so its own area stands beside: what carries
                      only the air stays near that.
    of all together   a logistic regression from the features to the set, out of fold over whole
                      sessions. A fixed camera has one view, which its other sessions show: with
                      one among the sets, 1 is to be expected, and what counts is single features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from training.dataset import LabelledPhoto
from training.table import TrainingTable, numbered

FOLDS = 5
LEAST_SESSIONS = 5  # of every set: with fewer, an area has no digits
TELLING_AREA = 0.95  # a feature at or above it all but names the set


@dataclass(frozen=True)
class SetSeparability:
    """How well features tell K data sets apart. Areas are means over the pairs of sets.

    sessions    set → how many sessions it has
    accuracy    [0..1] share of sessions put into their set, mean over sets, out of fold
    chance      [0..1] accuracy of a guess: 1 / K
    area        [0..1] under the ROC curve of the same regression
    label_area  [0.5..1] of PM2.5 alone, whichever set is higher
    areas       feature → [0.5..1] of it alone; features that no session defines are left out
    """

    sessions: dict[str, int]
    accuracy: float
    chance: float
    area: float
    label_area: float
    areas: dict[str, float]

    @property
    def telling(self) -> tuple[str, ...]:
        """The features that all but name the set, the worst first."""
        worst = sorted(self.areas, key=lambda name: -self.areas[name])
        return tuple(name for name in worst if self.areas[name] >= TELLING_AREA)


def set_separability(table: TrainingTable, names: Sequence[str]) -> SetSeparability | None:
    """How well the features `names` of `table` tell its data sets apart.

    `names` should be photo features: where weather is known in one set alone, it names the set.
    None when there are not two sets of at least five sessions each.
    """
    sets = np.array([set_of(photo) for photo in table.photos])
    medians, of_session, label = _session_medians(table.with_columns(names), sets)
    kinds, counts = np.unique(of_session, return_counts=True)
    kinds = kinds[counts >= LEAST_SESSIONS]
    if len(kinds) < 2:
        return None
    kept = np.isin(of_session, kinds)
    medians, of_session, label = medians[kept], of_session[kept], label[kept]
    pairs = [
        tuple(np.flatnonzero(of_session == kind) for kind in pair)
        for pair in combinations(kinds, 2)
    ]
    probability = _out_of_fold(medians, numbered(of_session.tolist()))
    guessed = kinds[probability.argmax(axis=1)]
    accuracy = np.mean([(guessed[of_session == kind] == kind).mean() for kind in kinds])
    evidence = np.log(np.maximum(probability, 1e-12))
    area = np.mean(
        [
            roc_area(evidence[one, i] - evidence[one, j], evidence[other, i] - evidence[other, j])
            for (i, j), (one, other) in zip(combinations(range(len(kinds)), 2), pairs, strict=True)
        ]
    )
    return SetSeparability(
        sessions={str(kind): int((of_session == kind).sum()) for kind in kinds},
        accuracy=float(accuracy),
        chance=1.0 / len(kinds),
        area=float(area),
        label_area=_mean_area(label, pairs),
        areas={
            name: _mean_area(column, pairs)
            for name, column in zip(names, medians.T, strict=True)
            if np.isfinite(column).any()
        },
    )


def set_of(photo: LabelledPhoto) -> str:
    """The data set of a photo: the name of the folder that `labels.csv` is in."""
    return photo.path.parents[len(Path(photo.file).parts) - 1].name


def roc_area(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """P(a > b) + P(a = b) / 2 for a of `one` (n,) and b of `other` (m,): the area under the ROC
    curve (Mann & Whitney 1947). nan values are left out; 0.5 when nothing is left on a side."""
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    if not len(one) or not len(other):
        return 0.5
    ranks = rankdata(np.concatenate([one, other]))[: len(one)].sum()
    return float((ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other)))


def _mean_area(
    values: NDArray[np.float64], pairs: Sequence[tuple[NDArray[np.int64], ...]]
) -> float:
    areas = [roc_area(values[one], values[other]) for one, other in pairs]
    return float(np.mean([max(area, 1.0 - area) for area in areas]))


def _session_medians(
    table: TrainingTable, sets: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.float64]]:
    """Medians of the features of each session (m, F), its set (m,), and of its label (m,)."""
    sessions = table.sessions
    rows = [np.flatnonzero(sessions == session) for session in np.unique(sessions)]
    medians = np.full((len(rows), len(table.names)), np.nan)
    for median, own in zip(medians, rows, strict=True):
        known = np.isfinite(table.X[own]).any(axis=0)
        median[known] = np.nanmedian(table.X[own][:, known], axis=0)
    label = np.array([np.median(table.pm25[own]) for own in rows])
    return medians, sets[[own[0] for own in rows]], label


def _out_of_fold(X: NDArray[np.float64], sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each set (m, K) for each session, from a regression that has not seen it."""
    n_sets = int(sets.max()) + 1
    probability = np.zeros((len(X), n_sets))
    # Each set's sessions are dealt out in turn, so that every fold holds some of every set.
    fold = np.empty(len(X), dtype=np.int64)
    for one in range(n_sets):
        own = np.flatnonzero(sets == one)
        fold[own] = np.arange(len(own)) % FOLDS
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        fill = np.array(
            [
                np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0
                for column in X[train].T
            ]
        )
        filled = np.where(np.isfinite(X), X, fill)
        mean, sd = filled[train].mean(axis=0), filled[train].std(axis=0)
        z = np.clip((filled - mean) / np.where(sd > 0, sd, 1.0), -5.0, 5.0)
        model = LogisticRegression(class_weight="balanced", max_iter=2000)
        probability[test] = model.fit(z[train], sets[train]).predict_proba(z[test])
    return probability
