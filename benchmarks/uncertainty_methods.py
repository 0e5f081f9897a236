"""Which network knows best what it does not know: `make compare-uncertainty DATA="dir [dir…]"`.

    python -m benchmarks.uncertainty_methods [--seeds N] [--json FILE] dir [dir…]

Every fold of `unseen_sites` and, for known cameras by day, of `unseen_days` is fitted once as
training fits it. On its lesson each kind of network is then fitted anew for every seed, out of
fold and whole, and answers the photos held out:

    variational   the network in service, at other temperatures T of its posterior and other β
    ensemble      five networks without uncertain weights or dropout, from five seeds
                  (Lakshminarayanan 2017, arXiv 1612.01474)
    dropout       100 passes of one network without uncertain weights (Gal & Ghahramani 2016)

Two tables a split. Networks alone: how much of the labels the Gaussian N(mean, epistemic² +
aleatoric²) covers as it stands, how well its spread sorts the errors, and what intervals it gives
after the same conformal calibration by session. Then the estimate that is served, in intervals
calibrated as training calibrates them, with one spread or another for their unit. Rows weigh so
that every session counts once. Figures are means over the seeds ± their standard deviation.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.uncertainty_cases import Case, cases
from benchmarks.uncertainty_scores import interval_scores, law_scores, mean_and_sd, text_table
from features.extractor import ScientificFeatureExtractor
from handlers.bayesian import BayesianNeuralNetwork, BayesianPrediction
from handlers.conformal import total_sigma
from handlers.ensemble import MEMBERS
from training.calibration import session_weights
from training.dataset import read_dataset
from training.learners import one_thread
from training.lesson import Lesson
from training.rendered_scenes import PLACES
from training.run import SEED, STORE, read_tables
from training.stacking import fit_ridge_stack
from training.variational import Objective, fit_bayesian

Array = NDArray[np.float64]

SPLITS = ("unseen_sites", "unseen_days")
SEEDS = 5
TIMED = 300  # predictions of one row, of which the median is told


@dataclass(frozen=True)
class Method:
    """A kind of network: `members` of them with this objective; several are asked once each."""

    name: str
    objective: Objective
    members: int = 1


SERVED = Method("in service", Objective())
METHODS = (
    SERVED,
    *(
        Method(f"variational, T = {temperature:g}", Objective(temperature))
        for temperature in (0.02, 0.05, 0.1, 0.3, 1.0)
    ),
    *(Method(f"variational, β = {beta:g}", Objective(beta=beta)) for beta in (0.0, 1.0)),
    Method("ensemble of 5", Objective(dropout=0.0, uncertain=False), members=5),
    *(Method(f"dropout, p = {p:g}", Objective(dropout=p, uncertain=False)) for p in (0.1, 0.2)),
)


def fit_networks(method: Method, lesson: Lesson, seed: int) -> list[BayesianNeuralNetwork]:
    """The networks of one seed; those of an ensemble answer with the middle of their weights."""
    X, y, w = lesson.with_copies()
    first = seed * method.members
    networks = [
        fit_bayesian(X, y, w, first + member, objective=method.objective)
        for member in range(method.members)
    ]
    if method.members > 1:
        for network in networks:
            network.draw(1)
    return networks


def answer(networks: Sequence[BayesianNeuralNetwork], Z: Array) -> BayesianPrediction:
    """Mean and both spreads over all draws of all networks, each (m,), for rows Z (m, k)."""
    parts = [network.predict(Z) for network in networks]
    if len(parts) == 1:
        return parts[0]
    means = np.array([part.mean for part in parts])
    noise = np.array([part.aleatoric_sd for part in parts])
    return BayesianPrediction(
        means.mean(axis=0), means.std(axis=0), np.sqrt((noise**2).mean(axis=0))
    )


def held_out(method: Method, case: Case, seed: int) -> tuple[BayesianPrediction, ...]:
    """Answers to the lesson's rows, out of fold, and to the photos held out."""
    lesson, folds = case.lesson, case.fitted.folds
    out = np.empty((3, len(lesson)))
    for fold in np.unique(folds):
        held = folds == fold
        told = answer(fit_networks(method, lesson.of(~held), seed), lesson.X[held])
        out[:, held] = told.mean, told.epistemic_sd, told.aleatoric_sd
    return BayesianPrediction(*out), answer(fit_networks(method, lesson, seed), case.Z)


def stacked(
    case: Case, inside: BayesianPrediction, outside: BayesianPrediction
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Estimate and members of the lesson's rows and of the photos, with this network as a member.

    As `training/stacking.py` makes them; the other learners stay as they were fitted.
    """
    lesson, network = case.lesson, MEMBERS.index("bayesian")
    own, others = case.fitted.oof_members.copy(), case.members.copy()
    own[:, network], others[:, network] = inside.mean, outside.mean
    v = np.where(lesson.judges, session_weights(lesson.sessions, lesson.weights), 0.0)
    mu = np.empty(len(lesson))
    for fold in np.unique(case.fitted.folds):
        kept = case.fitted.folds != fold
        stack = fit_ridge_stack(own[kept], lesson.y[kept], v[kept], lesson.trust, lesson.hold)
        mu[~kept] = stack.predict(own[~kept])
    whole = fit_ridge_stack(own, lesson.y, v, lesson.trust, lesson.hold)
    return (mu, own), (whole.predict(others), others)


def spreads(network: BayesianPrediction, mu: Array, members: Array) -> dict[str, Array]:
    """What may be the unit of a conformal score, by name, each (n,) [ln ug m-3]."""
    e, a, d = network.epistemic_sd, network.aleatoric_sd, members.std(axis=1)
    about = np.sqrt(((members - mu[:, None]) ** 2).mean(axis=1))
    return {
        "one for all photos": np.ones(len(mu)),
        "aleatoric": a,
        "network": np.hypot(e, a),
        "disagreement": d,
        "network and disagreement": total_sigma(e, a, d),
        "network and members about mu": total_sigma(e, a, about),
    }


def compare(
    drawn: Sequence[Case], methods: Sequence[Method], seeds: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of the networks alone, by method, and of the units, each {figure: (mean, sd)}."""
    y, pm25, weights = (
        np.concatenate([getattr(case, name) for case in drawn])
        for name in ("target", "pm25", "weights")
    )
    alone: dict[str, Any] = {}
    units: dict[str, list[dict[str, float]]] = {}
    for method in methods:
        runs = []
        for seed in range(seeds):
            laws: list[tuple[Array, Array]] = []
            quantiles: list[Array] = []
            by_unit: dict[str, list[Array]] = {}
            for case in drawn:
                inside, outside = held_out(method, case, seed)
                sd = [np.hypot(told.epistemic_sd, told.aleatoric_sd) for told in (inside, outside)]
                laws.append((outside.mean, sd[1]))
                table = case.by_session(inside.mean, sd[0])
                quantiles.append(case.pm25_quantiles(table, outside.mean, sd[1]))
                if method is SERVED:
                    for name, values in _by_unit(case, inside, outside):
                        by_unit.setdefault(name, []).append(values)
            mean, spread = (np.concatenate(part) for part in zip(*laws, strict=True))
            runs.append(
                law_scores(y, mean, spread, weights)
                | interval_scores(pm25, np.vstack(quantiles), weights)
            )
            for name, parts in by_unit.items():
                scores = interval_scores(pm25, np.vstack(parts), weights)
                units.setdefault(name, []).append(scores)
        alone[method.name] = mean_and_sd(runs) | {"ms": (_milliseconds(method, drawn[0]), 0.0)}
    return alone, {name: mean_and_sd(runs) for name, runs in units.items()}


def _by_unit(
    case: Case, inside: BayesianPrediction, outside: BayesianPrediction
) -> Iterator[tuple[str, Array]]:
    """Quantiles (m, 21) of the served estimate for every unit."""
    (mu, own), (mu_held, others) = stacked(case, inside, outside)
    held = spreads(outside, mu_held, others)
    for name, sigma in spreads(inside, mu, own).items():
        yield name, case.pm25_quantiles(case.calibrate(mu, sigma), mu_held, held[name])


def _milliseconds(method: Method, case: Case) -> float:
    """Median time of one row's answer [ms]."""
    networks = fit_networks(method, case.lesson, 0)
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        answer(networks, case.Z[:1])
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Fit every fold once and every network for every seed; print the tables: half an hour."""
    parser = argparse.ArgumentParser(description="Compare what networks know of their errors.")
    parser.add_argument("data", nargs="+", type=Path, help="data set folders")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    photos = [photo for folder in arguments.data for photo in read_dataset(folder).rows]
    extractor = ScientificFeatureExtractor()
    table, _, rendered, _ = read_tables(
        photos, extractor, store=STORE, seed=SEED, jobs=2, rendered_places=PLACES
    )
    figures: dict[str, Any] = {}
    with one_thread():
        for split in SPLITS:
            drawn = list(cases(split, table, rendered, extractor.feature_set))
            if not drawn:
                continue
            alone, units = compare(drawn, METHODS, arguments.seeds)
            figures[split] = {"networks alone": alone, "unit of the served interval": units}
            for title, rows in figures[split].items():
                print(
                    f"\n{split}: {title}, {arguments.seeds} seeds\n{text_table(rows)}", flush=True
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
