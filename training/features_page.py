"""The page that lists every feature, written from what the families say of themselves.

python -m training.features_page    # writes docs/features.md; a test holds the two equal

The cost of a feature stands in docs/feature_costs.csv (columns feature, family, group, cost_us),
which a measurement writes; a feature without a line there has no figure on the page.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from features.extractor import ScientificFeatureExtractor
from features.meteorology import FAMILY as METEOROLOGY
from features.schema import Feature, FeatureFamily

PAGE = Path(__file__).resolve().parent.parent / "docs" / "features.md"
COSTS = PAGE.with_name("feature_costs.csv")
FAMILIES: tuple[FeatureFamily, ...] = (*ScientificFeatureExtractor.families, METEOROLOGY)
_SIGNS = {1: "+", -1: "−", 0: ""}


def feature_costs(path: Path = COSTS) -> dict[str, float]:
    """Cost of each measured feature [µs]: its share of the time of what it is computed with."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["feature"]: float(row["cost_us"]) for row in csv.DictReader(file)}


def features_page(costs: Mapping[str, float]) -> str:
    """docs/features.md as Markdown: a table for each family, in the order of a feature row."""
    return "\n".join(
        [
            "# Features",
            "",
            "Written by `python -m training.features_page` from the families in `features/`; a "
            "test holds it",
            "equal to the code. Terms and bands: [nomenclature](nomenclature.md).",
            "",
            "*Range*: what the formula can give, whatever the photo. *Sign*: how the value moves "
            "when PM2.5",
            "rises, everything else being equal; empty where physics fixes none. *Cost*: of one "
            "photo at the",
            "working size, measured by `make bench`; what several features are computed with is "
            "shared out",
            "equally among them. A feature that a photo does not define (no sky, no far band, no "
            "weather) is",
            "`nan` in a feature row and `null` in JSON.",
            "",
            "| family | version | features | cost [µs] | code |",
            "|---|---|---|---|---|",
            *(
                f"| [{family.name}](#{family.name}) | {family.version} | {len(family.features)} "
                f"| {_total(family.names, costs)} | `features/{family.name}.py` |"
                for family in FAMILIES
            ),
            f"| all | | {sum(len(family.features) for family in FAMILIES)} "
            f"| {_total([name for family in FAMILIES for name in family.names], costs)} | |",
            *(line for family in FAMILIES for line in _section(family, costs)),
            "",
        ]
    )


def _section(family: FeatureFamily, costs: Mapping[str, float]) -> Iterator[str]:
    yield from ("", f"## {family.name}", "")
    yield "| name | unit | range | meaning | sign | cost [µs] | source |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(feature, costs.get(feature.name)) for feature in family.features)


def _row(feature: Feature, cost: float | None) -> str:
    meaning = feature.meaning.replace("|", "\\|")
    return (
        f"| `{feature.name}` | [{feature.unit}] | {_range(*feature.range)} | {meaning} "
        f"| {_SIGNS[feature.expected_sign]} | {'' if cost is None else f'{cost:.1f}'} "
        f"| {feature.reference} |"
    )


def _range(low: float, high: float) -> str:
    return f"{_bound(low)} … {_bound(high)}"


def _bound(value: float) -> str:
    text = "∞" if math.isinf(value) else f"{abs(value):.6g}"
    return f"−{text}" if value < 0 else text


def _total(names: Sequence[str], costs: Mapping[str, float]) -> str:
    known = [costs[name] for name in names if name in costs]
    return f"{sum(known):.0f}" if known else ""


if __name__ == "__main__":
    PAGE.write_text(features_page(feature_costs()), encoding="utf-8")
