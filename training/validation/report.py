"""The validation report: one HTML file that needs nothing else, drawn from the JSON alone.

The same JSON gives the same bytes. It holds no photo, unless thumbnails are given for reading on
one's own machine, and no position finer than 0.1 deg.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from handlers.air_quality_index import US_EPA_2024
from training.validation import columns, plots, tables
from training.validation.figures import NOT_DEFINED, SPLITS, Figures, Judged
from training.validation.gate import Check, Verdict
from training.validation.svg import swatch

Drawn = list[tuple[Judged, Markup]]

GROUPINGS = {
    "site": "site",
    "level_band": "level",
    "daylight": "light",
    "hour": "hour",
    "quality": "label",
}
ORDERED = {
    "level_band": [band.category for band in US_EPA_2024.bands],
    "daylight": ["day", "twilight", "night"],
}
_REFERENCES = {
    "weather_and_sun_without_photo": "weather and sun",
    "climatology": "usual value",
    "training_median": "training median",
}


def report_html(
    report: Mapping[str, Any],
    verdict: Verdict | None = None,
    thumbnails: Mapping[str, str] | None = None,
) -> str:
    """The page of a `ScientificValidator`'s report.

    verdict     of the gate, shown where there is one
    thumbnails  {file: data URI} of photos among the worst cases; none in what is published
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = Figures(report)
    headlines = [found for split in SPLITS if (found := figures.headline(split)) is not None]
    worst_of = [j for j in map(figures.single_photos, SPLITS) if j is not None]
    new_places = figures.of("unseen_sites", "sessions")
    return environment.get_template("report.html").render(
        report=report,
        version=report["model_version"] or "of unknown version",
        f=figures,
        sites=list(report["sites"]),
        headlines=headlines,
        first=headlines[0] if headlines else None,
        last=headlines[-1] if headlines else None,
        moved=next((j for j in worst_of if _has_haze(figures, j)), None),
        worst_of=worst_of,
        over_sites=(*new_places.path, "over_sites") if new_places is not None else None,
        tables=_tables(figures, headlines),
        plots=_plots(figures, headlines),
        verdict=verdict,
        thumbnails=thumbnails or {},
        swatch=lambda site: Markup(swatch(site)),
        stroke=lambda curve: Markup(plots.stroke(curve)),
        measured=measured,
    )


def measured(check: Check) -> str:
    """What a check of the gate found, in words: a number, or both ends of an interval."""
    if check.measured is None:
        return NOT_DEFINED
    ends = check.measured if isinstance(check.measured, tuple) else (check.measured,)
    return " to ".join(f"{value:.3g}".replace("-", "−") for value in ends)


def _tables(figures: Figures, headlines: Sequence[Judged]) -> dict[str, Any]:
    return {
        "headline": tables.over_judged(figures, columns.HEADLINE),
        "places": tables.places(figures),
        "accuracy": tables.over_judged(figures, columns.ACCURACY),
        "errors": tables.over_judged(figures, columns.ERRORS),
        "sites": tables.sites_judged(figures),
        "quality": tables.over_qualities(figures),
        "coverage": tables.over_judged(figures, columns.COVERAGE),
        "probabilistic": tables.over_judged(figures, columns.PROBABILISTIC),
        "refusal": [(j, tables.refusal(figures, j)) for j in headlines],
        "skill": tables.over_references(figures),
        "variants": tables.over_variants(figures),
        "moving": tables.over_photos(figures, columns.MOVING),
        "profiles": tables.over_moving_sites(
            figures, columns.PROFILE, "temporal", "hourly_profile", decisive="correlation"
        ),
        "lag": tables.over_moving_sites(
            figures, columns.LAG, "temporal", "lag_1", decisive="rate_ratio"
        ),
        "spatial": tables.over_places(figures),
        "plausibility": tables.over_photos(figures, columns.PLAUSIBILITY, "plausibility"),
        "haze": tables.over_photos(figures, columns.HAZE, "plausibility", "added_haze", "overall"),
        "agreement": tables.over_standards(figures),
        "confusion": [(j, tables.confusion(figures, j, "us_epa_2024")) for j in headlines[-1:]],
        "sensor": tables.over_photos(figures, columns.SENSOR, "sensor_targets", "overall"),
        "leakage": tables.leakage(figures),
    }


def _plots(figures: Figures, headlines: Sequence[Judged]) -> dict[str, Any]:
    """Each plot with what it is of; what has nothing to show is left out."""

    def block(judged: Judged, *inner: str) -> Any:
        return figures.value(*judged.path, *inner)

    names = list(figures.value("sites"))
    judged = figures.judged()
    sessions = [j for j in judged if j.records == "sessions"]
    photos = [j for j in map(figures.single_photos, SPLITS) if j is not None]
    return {
        "map": Markup(plots.site_map(figures.value("sites"), "Map of the sites")),
        "scatter": [
            (
                j,
                Markup(
                    plots.scatter(block(j, "points"), names, _label("Estimates against labels", j))
                ),
            )
            for j in judged
        ],
        "calibration": Markup(
            plots.calibration([block(j) for j in headlines], "Promised and kept coverage")
        ),
        "pit": [
            (j, Markup(plots.pit(block(j, "probabilistic", "pit"), _label("PIT histogram", j))))
            for j in sessions
        ],
        "groups": [
            (j, Markup(plots.coverage_by_group(_groups(block(j)), _label("Coverage by group", j))))
            for j in sessions
        ],
        "sparsification": [
            (j, Markup(plots.sparsification(curve, _label("Sparsification", j))))
            for j in judged
            if (curve := block(j, "sparsification", "width_90")) and curve["error"]
        ],
        "skill": [
            (j, Markup(plots.skill(_errors(block(j)), _label("Errors beside references", j))))
            for j in headlines
        ],
        "hours": [
            (j, Markup(plots.residual_by_hour(hours, _label("Error by hour", j))))
            for j in photos
            if (hours := block(j, "residual_by_hour"))["hour"]
        ],
        "profiles": [
            (site, j, Markup(plots.hourly_profile(profile, f"{site}: {_label('mean day', j)}")))
            for j in photos[:1]
            for site, profile in block(j, "temporal", "hourly_profile").items()
            if len(profile["hours"]) >= 3
        ],
        "haze": [
            (j, Markup(plots.added_haze(response, _label("Response to added haze", j))))
            for j in photos
            if (response := block(j, "plausibility", "added_haze", "overall"))["n"]
        ],
    }


def _groups(block: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Groupings with their groups, the number of sessions in their names."""
    for grouping, title in GROUPINGS.items():
        groups = block["coverage_by_group"].get(grouping, {})
        known = [name for name in ORDERED.get(grouping, ()) if name in groups]
        names = [*known, *(name for name in groups if name not in known)]
        if len(names) > 1 or grouping == "site":
            yield (
                title,
                [
                    (f"{tables.SHORT.get(name, name)} ({groups[name]['n_sessions']})", groups[name])
                    for name in names
                ],
            )


def _errors(block: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Mean absolute errors: ours, then those of the references that there are."""
    rows = [("2.5Vision", block["accuracy"]["mae"])]
    for reference, title in _REFERENCES.items():
        compared = block["skill"][reference]
        if compared is not None and compared["mae"]["reference"] is not None:
            rows.append((title, compared["mae"]["reference"]))
    return rows


def _has_haze(figures: Figures, judged: Judged) -> bool:
    return bool(figures.value(*judged.path, "plausibility", "added_haze", "overall", "n"))


def _label(what: str, judged: Judged) -> str:
    return f"{what}: {judged.title}, {judged.over}"
