"""Answers to photos that were held back, for every split and every set of features.

Each fold fits everything anew on its training rows, with the function that fits the archive, and
answers its test rows with the object that serves. The answers of all folds of a split are pooled,
to be scored once.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from training import splits
from training.dataset import LabelledPhoto
from training.fit import fit_estimator
from training.held_out import HeldOutAnswers, held_out_answers, together
from training.splits import Fold
from training.table import WITHOUT_PHOTO, TrainingTable, variant_columns

SPLITS: dict[str, Callable[[Sequence[LabelledPhoto]], list[Fold]]] = {
    "unseen_days": splits.unseen_days,
    "unseen_months": splits.unseen_months,
    "unseen_sites": splits.unseen_sites,
    "random": splits.random,
}


class HeldOut(NamedTuple):
    """One fold to be fitted and answered.

    table     all rows; those of `fold.train` are fitted on, those of `fold.test` answered
    rendered  what teaches beside them, or None
    """

    table: TrainingTable
    fold: Fold
    seed: int
    feature_set: str
    rendered: TrainingTable | None


@dataclass(frozen=True)
class _Task:
    split: str
    variant: str
    fold: Fold


def cross_validate(
    table: TrainingTable,
    photo_names: Sequence[str],
    *,
    seed: int,
    feature_set: str,
    rendered: TrainingTable | None = None,
    jobs: int = 2,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda done, total: done,
) -> dict[str, dict[str, HeldOutAnswers]]:
    """Answers to held-out photos by split, then by variant (full, without weather, without photo).

    Folds run side by side in `jobs` processes of one thread each; the result does not depend on
    how many. `progress` wraps the finished folds and is told their number.
    """
    variants = variant_columns(photo_names)
    tasks = [
        _Task(split, variant, fold)
        for split in SPLITS
        for fold in folds_of(split, table)
        for variant in variants
    ]
    tables = {variant: table.with_columns(columns) for variant, columns in variants.items()}
    fits = [
        # Weather and sun alone have nothing to learn from a picture.
        HeldOut(
            tables[t.variant],
            t.fold,
            seed,
            feature_set,
            rendered if t.variant != WITHOUT_PHOTO else None,
        )
        for t in tasks
    ]
    pooled: dict[tuple[str, str], list[HeldOutAnswers]] = {}
    done = progress(side_by_side(fits, jobs), len(tasks))
    for task, answers in zip(tasks, done, strict=True):
        pooled.setdefault((task.split, task.variant), []).append(answers)
    result: dict[str, dict[str, HeldOutAnswers]] = {split: {} for split in SPLITS}
    for (split, variant), parts in pooled.items():
        result[split][variant] = together(parts)
    return result


def folds_of(split: str, table: TrainingTable) -> list[Fold]:
    """The folds of a split that can be fitted: of one session nothing can be held out."""
    sessions = table.sessions
    return [
        fold for fold in SPLITS[split](table.photos) if len(np.unique(sessions[fold.train])) > 1
    ]


def side_by_side(fits: Iterable[HeldOut], jobs: int) -> Iterator[HeldOutAnswers]:
    """Answers to the test rows of each fit, in order; a fit is asked for when its turn comes.

    Not joblib's processes: the learners' memory grows, joblib's workers take that for a leak, end
    themselves, and now and then one of them takes the pool with it (docs/LOG.md).
    """
    if jobs == 1:
        yield from (_held_out(*fit) for fit in fits)
        return
    under_way: deque[Future[HeldOutAnswers]] = deque()
    with ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        for fit in fits:
            under_way.append(pool.submit(_held_out, *fit))
            if len(under_way) > 2 * jobs:  # enough that no process waits, few enough to hold
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _end_with_parent() -> None:
    """End this worker when its parent is gone, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def wait() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


def _held_out(
    table: TrainingTable, fold: Fold, seed: int, feature_set: str, rendered: TrainingTable | None
) -> HeldOutAnswers:
    """Fit on the fold's training rows, answer its test rows."""
    train, test = table.take(fold.train), table.take(fold.test)
    estimator = fit_estimator(
        train, seed=seed, feature_set=feature_set, rendered=rendered, asked=test.cameras
    )
    return held_out_answers(estimator, train, test, fold.name)
