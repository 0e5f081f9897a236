"""The tables of a validation report: what stands in their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from training.validation import columns
from training.validation.columns import Column
from training.validation.figures import Figures, Judged

Row = Sequence[Markup]
VARIANTS = {
    "full": "photo, weather and sun",
    "photo_without_weather": "photo and sun",
    "weather_and_sun_without_photo": "weather and sun, no photo",
}
REFERENCES = {
    "training_median": "median of the training data",
    "climatology": "usual value of place, month, time of day",
    "weather_and_sun_without_photo": "weather and sun, no photo",
}
STANDARDS = {"us_epa_2024": "US EPA 2024", "co_ica_2254_2017": "Colombia, ICA"}
SHORT = {"Unhealthy for Sensitive Groups": "Sensitive groups"}  # where room is scarce
ACCEPTED = (9, 7, 4, 1)  # 100, 80, 50, 20 % of the answers


@dataclass(frozen=True)
class Table:
    """Headings and rows of cells; the first `names` of each row name it."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    names: int = 1


def over_judged(figures: Figures, shown: Sequence[Column], *inner: str) -> Table:
    """A row for each of what is judged; `inner` is the path from its block to the figures."""
    return _table(figures, shown, (((_named(j),), (*j.path, *inner)) for j in figures.judged()))


def over_photos(figures: Figures, shown: Sequence[Column], *inner: str) -> Table:
    """A row for each set of single photos: known cameras by day, and all photos of a split."""
    return _table(figures, shown, (((_named(j),), (*j.path, *inner)) for j in figures.moving()))


def over_places(figures: Figures) -> Table:
    """A row for each split of several places."""
    rows = (
        ((_named(j),), (*j.path, "spatial"))
        for j in figures.moving()
        if figures.value(*j.path, "accuracy", "n_sites") > 1
    )
    return _table(figures, columns.SPATIAL, rows)


def over_moving_sites(
    figures: Figures, shown: Sequence[Column], *inner: str, decisive: str
) -> Table:
    """A row for each site of a block {site: …} at `inner` whose `decisive` figure is defined."""
    rows = (
        ((_named(j), site), (*j.path, *inner, site))
        for j in figures.moving()
        for site, block in figures.value(*j.path, *inner).items()
        if block[decisive] is not None
    )
    return _table(figures, shown, rows, "site")


def over_variants(figures: Figures) -> Table:
    """What is judged, with and without the weather, and without the photo."""
    rows = (
        ((_named(j), name), ("splits", j.split, variant, j.records))
        for j in figures.judged()
        for variant, name in VARIANTS.items()
        if figures.value("splits", j.split, variant, j.records)
    )
    return _table(figures, columns.VARIANT, rows, "read")


def over_references(figures: Figures) -> Table:
    """What is judged, against each thing that it has to beat."""
    rows = (
        ((_named(j), name), (*j.path, "skill", reference))
        for j in figures.judged()
        for reference, name in REFERENCES.items()
        if figures.value(*j.path, "skill", reference)
    )
    return _table(figures, columns.SKILL, rows, "against")


def over_qualities(figures: Figures) -> Table:
    """What is judged, with and without labels that were converted."""
    qualities = {"all": "all", "quality_a_b": "A and B", "quality_c": "C, converted"}
    rows = (
        ((_named(j), name), (*j.path, "accuracy_by_quality", quality))
        for j in figures.judged()
        if figures.value(*j.path, "accuracy_by_quality", "quality_c", "n")
        for quality, name in qualities.items()
    )
    return _table(figures, columns.QUALITY, rows, "labels")


def over_standards(figures: Figures) -> Table:
    """What is judged, in the categories of each official table."""
    rows = (
        ((_named(j), name), (*j.path, "agreement", standard))
        for j in figures.judged()
        for standard, name in STANDARDS.items()
    )
    return _table(figures, columns.AGREEMENT, rows, "table")


def over_sites(
    figures: Figures, block: tuple[str, ...], shown: Sequence[Column], *inner: str
) -> Table:
    """A row for each site of a block {site: …}."""
    sites: Iterable[str] = figures.value(*block) or ()
    rows = (((escape(site),), (*block, site, *inner)) for site in sites)
    return _table(figures, shown, rows, first="site")


def places(figures: Figures) -> Table:
    """What there is of each site."""
    return over_sites(figures, ("sites",), columns.PLACE)


def sites_judged(figures: Figures) -> Table:
    """Each new place by session: error, and whether the range holds."""
    judged = figures.of("unseen_sites", "sessions")
    if judged is None:
        return Table((), ())
    table = over_sites(figures, (*judged.path, "per_site"), columns.SITE)
    kept = over_sites(figures, (*judged.path, "coverage_by_group", "site"), columns.KEPT)
    rows = tuple((*row, *own[1:]) for row, own in zip(table.rows, kept.rows, strict=True))
    return Table((*table.heads, *kept.heads[1:]), rows)


def leakage(figures: Figures) -> Table:
    """Single photos held out at random beside the honest splits."""
    rows = (
        ((Markup(name),), ("splits", split, "full", "photos"))
        for split, name in (
            ("random", "random photos, a control"),
            ("unseen_days", "new days"),
            ("unseen_sites", "new places"),
        )
        if figures.value("splits", split, "full")
    )
    return _table(figures, columns.CONTROL, rows)


def refusal(figures: Figures, judged: Judged) -> Table:
    """What is left when the answers of the widest relative range are passed over."""
    block = (*judged.path, "risk_coverage")
    if figures.value(*block, "n") is None:
        return Table((), ())
    rows = tuple(
        (
            figures.percent(*block, "accepted", i),
            figures.number(*block, "n", i),
            figures.number(*block, "mae", i, digits=1),
            figures.percent(*block, "mape", i),
            figures.percent(*block, "coverage_90", i),
        )
        for i in ACCEPTED
    )
    return Table(("most certain", "n", "MAE", "MAPE", "in 90 % range"), rows)


def confusion(figures: Figures, judged: Judged, standard: str) -> Table:
    """Counts by measured category (rows) and estimated one (columns)."""
    block = (*judged.path, "agreement", standard)
    names: list[str] = figures.value(*block, "categories") or []
    rows = tuple(
        (
            escape(name),
            *(figures.number(*block, "confusion", i, k) for k in range(len(names))),
        )
        for i, name in enumerate(names)
    )
    return Table(("measured ↓ estimated →", *(SHORT.get(name, name) for name in names)), rows)


def _table(
    figures: Figures,
    shown: Sequence[Column],
    rows: Iterable[tuple[Sequence[str], tuple[str | int, ...]]],
    *heads: str,
    first: str = "split",
) -> Table:
    cells = (
        (*map(escape, names), *(column.cell(figures, block) for column in shown))
        for names, block in rows
    )
    titles = (first, *heads, *(column.head for column in shown))
    return Table(titles, tuple(cells), 1 + len(heads))


def _named(judged: Judged) -> Markup:
    return Markup("{}<small>{}</small>").format(judged.title, judged.over)
