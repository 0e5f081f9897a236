"""Tables of how the features move with PM2.5 at real places, from the two CSV files beside."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from docs.scientific_background.feature_signs import CHANCE, SIGNS
from training.features_page import FAMILIES

STRONGEST = 4  # features shown of each family

Rows = Iterator[Sequence[str]]
Row = dict[str, str]


def read_csv(path: Path) -> list[Row]:
    """The rows of a CSV file, by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def measured() -> list[Row]:
    """Features with a correlation, site by site, and the sign that the code expects of them now."""
    signs = {f.name: str(f.expected_sign) for family in FAMILIES for f in family.features}
    return [
        row | {"expected": signs[row["feature"]]}
        for row in read_csv(SIGNS)
        if row["rho"] and row["feature"] in signs
    ]


def chance() -> Rows:
    """Sites: their sessions and labels, and how many features look good there, and by chance."""
    yield (
        *("site", "sessions", "PM2.5 lowest, median, highest", "features", "limit of abs. ρ"),
        *("beyond it", "by chance: median", "by chance: 95 %"),
    )
    for row in read_csv(CHANCE):
        pm25 = ", ".join(f"{float(row[name]):.0f}" for name in ("lowest", "median", "highest"))
        counts = (row["beyond"], row["by_chance_median"], row["by_chance_95"])
        yield row["site"], row["sessions"], pm25, row["features"], row["limit"], *counts


def agreement() -> Rows:
    """Families: of the features with a sign, how many have it at each site; of those beyond."""
    limits = _limits()
    signed = [row for row in measured() if row["expected"] != "0"]
    yield "family", "version", "with a sign", *limits
    for family, version in dict.fromkeys((row["family"], row["version"]) for row in signed):
        of_family = [row for row in signed if row["family"] == family]
        cells = []
        for site, limit in limits.items():
            known = [row for row in of_family if row["site"] == site]
            clear = [row for row in known if abs(float(row["rho"])) > limit]
            cells.append(
                f"{_agreeing(known)} of {len(known)} ({_agreeing(clear)} of {len(clear)})"
                if known
                else ""
            )
        yield family, version, str(len({row["feature"] for row in of_family})), *cells


def strongest() -> Rows:
    """Of each family the features that follow Milan's days best, and what they do elsewhere."""
    others = [site for site in _limits() if site != "milan"]
    yield "family", "feature", "sign", "milan", "season out", *others
    rho = {(row["feature"], row["site"]): row["rho"] for row in read_csv(SIGNS)}
    milan = [row for row in measured() if row["site"] == "milan"]
    for family in dict.fromkeys(row["family"] for row in milan):
        ranked = sorted(
            (row for row in milan if row["family"] == family),
            key=lambda row: -abs(float(row["rho"])),
        )
        for row in ranked[:STRONGEST]:
            elsewhere = (_signed(rho[row["feature"], site]) for site in others)
            found = (_signed(row["rho"]), _signed(row["rho_given_day"]))
            yield family, f"`{row['feature']}`", _sign(row), *found, *elsewhere


def against() -> Rows:
    """What stands beyond the limit on the side that physics does not expect, season in or out."""
    yield "site", "feature", "expected", "found", "season out"
    rows = [row for row in measured() if row["expected"] != "0"]
    for site, limit in _limits().items():
        wrong = [row for row in rows if row["site"] == site and _wrong_side(row) > limit]
        for row in sorted(wrong, key=_wrong_side, reverse=True):
            found = (_signed(row["rho"]), _signed(row["rho_given_day"]))
            yield site, f"`{row['feature']}`", _sign(row), *found


def _wrong_side(row: Row) -> float:
    """How far ρ, or ρ given the day, stands on the other side of 0 than it should."""
    found = [float(row[name]) for name in ("rho", "rho_given_day") if row[name]]
    return max(-int(row["expected"]) * rho for rho in found)


def _limits() -> dict[str, float]:
    return {row["site"]: float(row["limit"]) for row in read_csv(CHANCE)}


def _agreeing(rows: Sequence[Row]) -> int:
    return sum(float(row["rho"]) * int(row["expected"]) > 0 for row in rows)


def _signed(value: str) -> str:
    return f"{float(value):+.2f}" if value else ""


def _sign(row: Row) -> str:
    return {"1": "+", "-1": "−", "0": ""}[row["expected"]]
