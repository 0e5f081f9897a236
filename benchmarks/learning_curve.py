"""What a few labelled photos of a new camera are worth: `make learning-curve DATA="dir [dir…]"`.

    python -m benchmarks.learning_curve dir [dir…]

Models are fitted without the site. Then, many times over, half of its visits are drawn: n of their
photos calibrate a camera reference as `pm25 calibrate-camera` does, the photos of the other half
are answered with it. Beside it stands the best constant that the same n labels give: their median.
The command asks for ten photos or more; here fewer show what they would do.
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

from benchmarks.learning_curve_page import JSON, PAGE, PLOT, page, plot
from features.extractor import ScientificFeatureExtractor
from handlers.camera import SitePrior
from handlers.conformal import interval_columns
from handlers.estimator import PM25Estimator, is_night
from training.calibration import session_weights
from training.camera_calibration import CalibrationPhotos, calibrate
from training.dataset import DataSet, dataset_hash, read_dataset
from training.fit import fit_estimator
from training.rendered_scenes import PLACES
from training.run import SEED, STORE, read_tables
from training.scores import baselines
from training.splits import unseen_sites
from training.table import TrainingTable

COUNTS = (0, 5, 10, 20, 40)
DRAWS = 200
RESAMPLES = 5000
LEAST_VISITS = 20  # half of them calibrate, half are answered
Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UnseenSite:
    """n photos of a site, answered by models that have not seen it; arrays (n,).

    pm25, ln_pm25  labels [ug m-3] and their logarithm, floored as in training
    sessions       the number of each photo's visit
    night          whether the sun stood below 5 deg
    mu             ln of the estimate of an unknown camera [ln ug m-3]
    distances      (n, 21) of its quantiles from mu [ln ug m-3]
    prior          what the models know of sites
    constant       what one would say without a label of this site [ug m-3]
    qualities      of its labels: A, B, C
    """

    name: str
    pm25: Array
    ln_pm25: Array
    sessions: Rows
    night: NDArray[np.bool_]
    mu: Array
    distances: Array
    prior: SitePrior
    constant: float
    qualities: str

    @classmethod
    def of(
        cls, estimator: PM25Estimator, train: TrainingTable, test: TrainingTable, name: str
    ) -> UnseenSite:
        """The photos `test` as `estimator`, fitted on `train`, answers them without a camera."""
        prior = SitePrior.of(estimator.new_place.conformal)
        if prior is None:
            raise ValueError("Models fitted at a single site know nothing of how sites differ.")
        estimates = estimator.estimate(test.X, [None] * len(test))
        mu = np.log(estimates.pm25)
        return cls(
            name=name,
            pm25=test.pm25,
            ln_pm25=test.ln_pm25,
            sessions=test.sessions,
            night=is_night(test.X, test.names),
            mu=mu,
            distances=np.log(estimates.quantiles) - mu[:, np.newaxis],
            prior=prior,
            constant=baselines(train.photos)[0],
            qualities="".join(sorted({photo.pm25_quality for photo in test.photos})),
        )

    def photos(self, rows: Rows) -> CalibrationPhotos:
        """What calibrating a camera is told of the photos `rows`."""
        low, high = interval_columns(0.9)
        return CalibrationPhotos(
            ln_pm25=self.ln_pm25[rows],
            mu=self.mu[rows],
            below=-self.distances[rows, low],
            above=self.distances[rows, high],
            sessions=self.sessions[rows],
        )


def unseen(
    table: TrainingTable, rendered: TrainingTable | None, *, seed: int, feature_set: str
) -> Iterator[UnseenSite]:
    """Every site with at least twenty visits by day, each answered by models fitted without it."""
    for fold in unseen_sites(table.photos):
        test = table.take(fold.test)
        by_day = ~is_night(test.X, test.names)
        if len(np.unique(test.sessions[by_day])) < LEAST_VISITS:
            continue
        train = table.take(fold.train)
        estimator = fit_estimator(train, seed=seed, feature_set=feature_set, rendered=rendered)
        yield UnseenSite.of(estimator, train, test, fold.name)


def spread_over_visits(rng: np.random.Generator, sessions: Rows, candidates: Rows, n: int) -> Rows:
    """n of the rows `candidates`, at random, from as many visits as there are, as evenly as can be.

    A first photo of every visit comes before a second of any. Fewer where there are fewer.
    """
    order = rng.permutation(candidates)
    visits = sessions[order]
    turn = np.empty(len(order), dtype=np.int64)
    for visit in np.unique(visits):
        own = np.flatnonzero(visits == visit)
        turn[own] = np.arange(len(own))
    rank_of_visit = rng.permutation(int(sessions.max()) + 1)
    return np.asarray(order[np.lexsort((rank_of_visit[visits], turn))][:n])


def learning_curve(
    site: UnseenSite,
    *,
    by_night: bool = False,
    counts: Sequence[int] = COUNTS,
    draws: int = DRAWS,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """One record for each count of photos, means over `draws`.

    Calibrated by day; answered are photos by day, or `by_night`. `mae` and `constant_mae` are over
    photos, `session_mae` and `constant_session_mae` over visits (medians of a visit), coverage and
    width of the 90 % interval with equal weight for every visit. `mae_low` and `mae_high` are the
    10 and 90 % quantiles over draws. `gain` is by how much the constant's error exceeds ours, over
    photos, each visit with the weight of its photos; `gain_low` and `gain_high` its 90 % interval
    by bootstrap over visits, since draws share them.
    """
    records = []
    for n in counts:
        rows, gains = [], np.full((draws, int(site.sessions.max()) + 1), np.nan)
        for draw in range(draws):
            row, gain = _one_draw(site, np.random.default_rng([seed, draw]), n, by_night)
            rows.append(row)
            gains[draw, list(gain)] = list(gain.values())
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        low, high = np.quantile([row["mae"] for row in rows], (0.1, 0.9))
        record = {"n": n, **mean, "mae_low": float(low), "mae_high": float(high)}
        records.append(record | _gain(site, gains, by_night, seed))
    return records


def _gain(site: UnseenSite, gains: Array, by_night: bool, seed: int) -> dict[str, float]:
    """The mean of gains (draws, visits), nan where a visit was not tested, with its interval."""
    tested = np.flatnonzero(np.isfinite(gains).any(axis=0))
    of_visit = np.nanmean(gains[:, tested], axis=0)
    photos = np.bincount(site.sessions[site.night == by_night], minlength=gains.shape[1])[tested]
    rng = np.random.default_rng(seed)
    again = rng.integers(0, len(tested), (RESAMPLES, len(tested)))
    resampled = (photos * of_visit)[again].sum(axis=1) / photos[again].sum(axis=1)
    low, high = np.quantile(resampled, (0.05, 0.95))
    gain = float(photos @ of_visit / photos.sum())
    return {"gain": gain, "gain_low": float(low), "gain_high": float(high)}


def _one_draw(
    site: UnseenSite, rng: np.random.Generator, n: int, by_night: bool
) -> tuple[dict[str, float], dict[int, float]]:
    """Figures of one draw, and for each visit by how much its photos' errors are the smaller."""
    visits = rng.permutation(np.unique(site.sessions[~site.night]))
    in_pool = np.isin(site.sessions, visits[: len(visits) // 2])
    test = np.flatnonzero(~in_pool & (site.night == by_night))
    chosen = spread_over_visits(rng, site.sessions, np.flatnonzero(in_pool & ~site.night), n)
    reference = calibrate("new", site.photos(chosen), site.prior, content_hash="", feature_set="")
    mu, distances = reference.applied(site.mu[test], site.distances[test], site.night[test])
    constant = float(np.median(site.pm25[chosen])) if n else site.constant
    estimate, truth = np.exp(mu), site.pm25[test]
    low, high = interval_columns(0.9)
    lower, upper = np.exp(mu + distances[:, low]), np.exp(mu + distances[:, high])
    w = session_weights(site.sessions[test])
    w /= w.sum()
    visited = site.sessions[test]
    usual = _by_visit(truth, visited)
    error, constant_error = np.abs(estimate - truth), np.abs(constant - truth)
    better = constant_error - error
    figures = {
        "visits": float(reference.n),
        "mae": float(error.mean()),
        "constant_mae": float(constant_error.mean()),
        "session_mae": float(np.abs(_by_visit(estimate, visited) - usual).mean()),
        "constant_session_mae": float(np.abs(constant - usual).mean()),
        "coverage_90": float(w @ ((lower <= truth) & (truth <= upper))),
        "mean_width_90": float(w @ (upper - lower)),
        "scale": reference.scale,
    }
    return figures, {int(v): float(better[visited == v].mean()) for v in np.unique(visited)}


def _by_visit(values: Array, sessions: Rows) -> Array:
    return np.array([np.median(values[sessions == visit]) for visit in np.unique(sessions)])


def measure(datasets: Sequence[DataSet]) -> dict[str, Any]:
    """The curves of every site of `datasets` that has visits enough, by day and by night."""
    extractor = ScientificFeatureExtractor()
    photos = [photo for dataset in datasets for photo in dataset.rows]
    table, _, rendered, _ = read_tables(
        photos, extractor, store=STORE, seed=SEED, jobs=2, rendered_places=PLACES
    )
    sites = []
    for site in unseen(table, rendered, seed=SEED, feature_set=extractor.feature_set):
        by_day = ~site.night
        nights = len(np.unique(site.sessions[site.night]))
        sites.append(
            {
                "site": site.name,
                "qualities": site.qualities,
                "n_photos": int(by_day.sum()),
                "n_visits": len(np.unique(site.sessions[by_day])),
                "sd_y": float(site.pm25[by_day].std()),
                "prior": site.prior._asdict(),
                "by_day": learning_curve(site),
                "n_photos_by_night": int(site.night.sum()),
                "by_night": learning_curve(site, by_night=True) if nights >= LEAST_VISITS else [],
            }
        )
    return {
        "data": {dataset.name: len(dataset.rows) for dataset in datasets},
        "data_hash": dataset_hash(datasets),
        "feature_set": extractor.feature_set,
        "seed": SEED,
        "draws": DRAWS,
        "sites": sites,
    }


def main() -> None:
    """Measure, write the numbers, the page and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning_curve")
    parser.add_argument("data", type=Path, nargs="+", help="a data set folder")
    begun = time.monotonic()
    result = measure([read_dataset(folder) for folder in parser.parse_args().data])
    JSON.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(result), encoding="utf-8")
    PLOT.write_text(plot(result), encoding="utf-8")
    print(f"{PAGE}, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
