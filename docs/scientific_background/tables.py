"""Writes the computed tables into these pages.

A page marks the place of a table with `<!-- table: NAME -->` … `<!-- end -->`. What the tables say
follows from the code, from the scores of the production archive and from feature_signs.csv: when
one of them changes, `python -m docs.scientific_background` brings the pages up to date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from docs.scientific_background import (
    paper_picture,
    physics,
    published,
    score_tables,
    sign_tables,
    valley,
)

FOLDER = Path(__file__).parent

Rows = Iterator[Sequence[str]]
TABLES: dict[str, Callable[[], Rows]] = {
    "atmosphere": physics.atmosphere,
    "by hand": paper_picture.by_hand,
    "one landmark": physics.one_landmark,
    "best distance": physics.best_distance,
    "humidity": physics.humidity,
    "inseparable": physics.inseparable,
    "one valley": valley.valley_features,
    "chance": sign_tables.chance,
    "agreement": sign_tables.agreement,
    "strongest": sign_tables.strongest,
    "against": sign_tables.against,
    "camera scores": score_tables.camera_scores,
    "place scores": score_tables.place_scores,
    "random split": score_tables.random_split,
    "photo skill": score_tables.photo_skill,
    "day and night": score_tables.day_and_night,
    "beside published": published.beside_published,
    "coverage by level": score_tables.coverage_by_level,
    "label quality": score_tables.label_quality,
    "skill by reference": score_tables.skill_by_reference,
}
_PLACE = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def markdown(name: str) -> str:
    """The table `name` as Markdown."""
    head, *rows = TABLES[name]()
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_with_minus, cells))} |\n" for cells in lines)


def with_tables(page: str) -> str:
    """The text of a page with every marked table as it is computed now."""
    page = re.sub(
        r"<!-- version -->.*?<!-- end -->",
        lambda _: f"<!-- version -->{score_tables.production_scores()[0]}<!-- end -->",
        page,
    )
    return _PLACE.sub(lambda place: place[1] + "\n" + markdown(place[2]) + "\n", page)


def write_tables() -> None:
    """Every table into the page that asks for it."""
    for path in sorted(FOLDER.glob("*.md")):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


def _with_minus(cell: str) -> str:
    """A number with the sign that people print, and none before a zero."""
    if re.fullmatch(r"-[0.]+", cell):
        return cell[1:]
    return "−" + cell[1:] if re.match(r"-[0-9.]", cell) else cell
