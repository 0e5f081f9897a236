"""How every feature moves with PM2.5 at each place, against the sign that physics expects.

python -m docs.scientific_background.feature_signs DATASET…    # writes feature_signs.csv

By day, over sessions: a session is the median of its photos' values and of their labels, and a
site counts with ten sessions or more. Spearman's rank correlation, one row per feature and site.
Beside it, for dates that a place repeats in order, the part that the season does not explain: the
partial rank correlation given the day. How many features would look this good with the sessions'
labels exchanged at random says what of it is chance.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.extractor import ScientificFeatureExtractor
from training.dataset import LabelledPhoto, read_dataset
from training.extraction import extract_features
from training.feature_store import FeatureStore
from training.features_page import FAMILIES
from training.scores import is_daytime, spearman
from training.table import TrainingTable, training_table

SIGNS = Path(__file__).with_name("feature_signs.csv")
CHANCE = Path(__file__).with_name("feature_signs_by_chance.csv")
STORE = Path("build") / "features.db"

FEWEST_SESSIONS = 10
EXCHANGES = 2000
SEED = 25

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SiteSessions:
    """The sessions of one site by day: X (n, F) and pm25 (n,) as medians, day (n,) of each."""

    X: Array
    pm25: Array
    day: Array


def sessions_by_site(
    X: Array, pm25: Array, photos: Sequence[LabelledPhoto]
) -> dict[str, SiteSessions]:
    """Sites with enough sessions by day, in alphabetical order: features (n, F), labels (n,)."""
    rows: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, photo in enumerate(photos):
        if is_daytime(photo):
            rows[photo.site][photo.session].append(i)
    return {
        site: SiteSessions(
            X=np.array([_medians(X[group]) for group in sessions.values()]),
            pm25=np.array([np.median(pm25[group]) for group in sessions.values()]),
            day=np.array([_day(photos[group[0]]) for group in sessions.values()]),
        )
        for site, sessions in sorted(rows.items())
        if len(sessions) >= FEWEST_SESSIONS
    }


def critical(n: int) -> float:
    """|ρ| that one pair of unrelated rankings of n things exceeds once in twenty times.

    From t = ρ √((n − 2) / (1 − ρ²)) and the 97.5 % quantile of Student's t, to 0.005.
    """
    df = n - 2
    z = 1.959964
    t = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    return float(t / np.sqrt(df + t * t))


def correlations(site: SiteSessions, column: int) -> tuple[int, float | None, float | None]:
    """Sessions where the feature is known, ρ with PM2.5, and ρ given the day."""
    x = site.X[:, column]
    known = np.isfinite(x)
    n = int(known.sum())
    if n < FEWEST_SESSIONS:
        return n, None, None
    x, y, day = x[known], site.pm25[known], site.day[known]
    rho, with_day, of_day = spearman(x, y), spearman(x, day), spearman(y, day)
    if rho is None or with_day is None or of_day is None:
        return n, rho, None
    rest = (1 - with_day**2) * (1 - of_day**2)
    return n, rho, (rho - with_day * of_day) / np.sqrt(rest) if rest > 1e-9 else None


def by_chance(site: SiteSessions) -> tuple[int, int, int, int]:
    """Features known in every session, how many are beyond `critical`, and how many would be.

    The last two: the median and the 95 % quantile over random exchanges of the labels.
    """
    usable = [
        column for column in site.X.T if np.isfinite(column).all() and column.min() < column.max()
    ]
    ranks = np.array([_unit_ranks(column) for column in usable])
    limit = critical(len(site.pm25))
    labels = _unit_ranks(site.pm25)
    rng = np.random.default_rng(SEED)
    counts = [
        int((np.abs(ranks @ rng.permutation(labels)) > limit).sum()) for _ in range(EXCHANGES)
    ]
    found = int((np.abs(ranks @ labels) > limit).sum())
    middle, high = np.quantile(counts, [0.5, 0.95], method="higher")
    return len(usable), found, int(middle), int(high)


def write(table: TrainingTable) -> None:
    """Both CSV files."""
    sites = sessions_by_site(table.X, table.pm25, table.photos)
    position = {name: i for i, name in enumerate(table.names)}
    signs: list[dict[str, object]] = []
    for family in FAMILIES:
        for feature in family.features:
            for name, site in sites.items() if feature.name in position else ():
                n, rho, partial = correlations(site, position[feature.name])
                signs.append(
                    {
                        "family": family.name,
                        "version": family.version,
                        "feature": feature.name,
                        "site": name,
                        "sessions": n,
                        "rho": "" if rho is None else f"{rho:.2f}",
                        "rho_given_day": "" if partial is None else f"{partial:.2f}",
                    }
                )
    _write_csv(SIGNS, signs)
    chance: list[dict[str, object]] = []
    for name, site in sites.items():
        low, middle, high = np.quantile(site.pm25, [0, 0.5, 1])
        n, beyond, by_chance_median, by_chance_95 = by_chance(site)
        chance.append(
            {
                "site": name,
                "sessions": len(site.pm25),
                "lowest": f"{low:.1f}",
                "median": f"{middle:.1f}",
                "highest": f"{high:.1f}",
                "features": n,
                "limit": f"{critical(len(site.pm25)):.2f}",
                "beyond": beyond,
                "by_chance_median": by_chance_median,
                "by_chance_95": by_chance_95,
            }
        )
    _write_csv(CHANCE, chance)


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _medians(rows: Array) -> list[float]:
    known = [column[np.isfinite(column)] for column in rows.T]
    return [float(np.median(column)) if len(column) else float("nan") for column in known]


def _day(photo: LabelledPhoto) -> float:
    time = photo.metadata.captured_at
    return float("nan") if time is None else time.timestamp() / 86400


def _unit_ranks(values: Array) -> Array:
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[position]
    ranks = ranks - ranks.mean()
    return ranks / np.linalg.norm(ranks)


if __name__ == "__main__":
    photos = [row for folder in sys.argv[1:] for row in read_dataset(Path(folder)).rows]
    if not photos:
        sys.exit("Name at least one data set: … feature_signs milan/ india_nepal/")
    with FeatureStore(STORE) as store:
        read = extract_features(photos, store, ScientificFeatureExtractor())
    answered = [photos[int(i)] for i in read.kept]
    write(training_table(answered, read.matrix[read.kept], read.names))
