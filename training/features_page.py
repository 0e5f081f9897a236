"""The page that lists every feature, written from what the families say of themselves.

python -m training.features_page    # writes docs/features.md; a test holds the two equal
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from features.extractor import ScientificFeatureExtractor
from features.meteorology import FAMILY as METEOROLOGY
from features.schema import Feature, FeatureFamily

PAGE = Path(__file__).resolve().parent.parent / "docs" / "features.md"
FAMILIES: tuple[FeatureFamily, ...] = (*ScientificFeatureExtractor.families, METEOROLOGY)
_SIGNS = {1: "+", -1: "−", 0: ""}


def features_page() -> str:
    """docs/features.md as Markdown: a table for each family, in the order of a feature row."""
    return "\n".join(
        [
            "# Features",
            "",
            "Written by `python -m training.features_page` from the families in `features/`; a "
            "test holds it",
            "equal to the code. Terms and bands: [nomenclature](nomenclature.md).",
            "",
            "*Sign*: how the value moves when PM2.5 rises, everything else being equal; empty "
            "where physics",
            "fixes none. A feature that a photo does not define (no sky, no far band, no weather) "
            "is `nan` in a",
            "feature row and `null` in JSON.",
            "",
            "| family | version | features | code |",
            "|---|---|---|---|",
            *(
                f"| [{family.name}](#{family.name}) | {family.version} | {len(family.features)} "
                f"| `features/{family.name}.py` |"
                for family in FAMILIES
            ),
            f"| all | | {sum(len(family.features) for family in FAMILIES)} | |",
            *(line for family in FAMILIES for line in _section(family)),
            "",
        ]
    )


def _section(family: FeatureFamily) -> Iterator[str]:
    yield from ("", f"## {family.name}", "")
    yield from ("| name | unit | meaning | sign | source |", "|---|---|---|---|---|")
    yield from map(_row, family.features)


def _row(feature: Feature) -> str:
    meaning = feature.meaning.replace("|", "\\|")
    sign = _SIGNS[feature.expected_sign]
    return f"| `{feature.name}` | [{feature.unit}] | {meaning} | {sign} | {feature.reference} |"


if __name__ == "__main__":
    PAGE.write_text(features_page(), encoding="utf-8")
