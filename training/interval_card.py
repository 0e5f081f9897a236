"""What the model card says of the interval: what holds by proof, what is assumed, what was covered.

The figures are those of `training.validation.coverage`, over the answers to held-out photos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from handlers.conformal import ConformalTable
from handlers.estimator import PM25Estimator
from handlers.expert import Expert
from training.held_out import HeldOutAnswers
from training.validation.coverage import LEVELS, coverage, percent

PROMISE = """\
- **Guaranteed**, whatever the errors look like: a new session of a known camera is covered at least
  as often as the level says, on average over sets of sessions, if it is exchangeable with those
  that were held out, and if the models err like those that were fitted without them. That is
  another day of the same view and season. A new season, a moved camera or another lens is not.
- **Modelled**: a place without a reference. Its interval comes from places that were held out, and
  takes the error that a place adds to all of its photos for normal, as wide as those few places
  show (Student's t). On average over places like these it covers what it says; one place may lie
  far from that, with all of its photos at once.
- **Neither**: photos unlike the training photos, at night, in fog, with nothing far in view. The
  answer warns.
"""
COVERAGE_EXPLAINED = """\
Share of labels inside the interval at each level, over held-out answers of `full`; in brackets its
95 % bootstrap interval over whole sessions, where there are 5 or more. `width` is the mean width at
90 % [ug m-3]. A session counts once, by its medians. C marks labels that were converted.
"""
SPLITS = ("unseen_days", "unseen_months", "unseen_sites")


def interval_section(
    estimator: PM25Estimator, answers: Mapping[str, Mapping[str, HeldOutAnswers]]
) -> Iterator[str]:
    """The section as lines of Markdown. `answers` by split, then by variant."""
    yield PROMISE
    yield from _what_each_rests_on(estimator)
    yield ""
    yield COVERAGE_EXPLAINED
    yield from coverage_table({split: by["full"] for split, by in answers.items() if "full" in by})
    yield ""


def experts(estimator: PM25Estimator) -> Iterator[tuple[str, Expert]]:
    """The sets of models that the archive has, by name."""
    for name in ("new_place", "fixed_view", "fixed_view_night"):
        expert: Expert | None = getattr(estimator, name)
        if expert is not None:
            yield name, expert


def coverage_table(full: Mapping[str, HeldOutAnswers]) -> Iterator[str]:
    """Coverage by level and split, in Markdown: known cameras by photo, others by session."""
    levels = " | ".join(f"{percent(level)} %" for level in LEVELS)
    yield f"| split | over | n | sessions | {levels} | width |"
    yield "|---" * (len(LEVELS) + 5) + "|"
    for split in SPLITS:
        if split not in full:
            continue
        known = full[split].of(full[split].known_camera)
        new = full[split].of(~full[split].known_camera).per_session()
        measured = new.of(new.pm25_quality != "C")
        parts = {"known cameras, photos": known, "no camera known, sessions": new}
        if len(measured) < len(new):
            parts["the same without C"] = measured
        for name, part in parts.items():
            if len(part):
                yield f"| `{split}` | {name} | {' | '.join(_cells(coverage(part)))} |"


def sessions_behind(table: ConformalTable) -> str:
    """How many sessions the interval rests on; with several groups by level, those of each."""
    counts = [str(group.n_sessions) for group in table.groups]
    groups = f", by predicted level (a session may count in several of {len(counts)})"
    return f"{', '.join(counts)} sessions{groups if len(counts) > 1 else ''}"


def _what_each_rests_on(estimator: PM25Estimator) -> Iterator[str]:
    """The levels that sessions guarantee, and the effect of places that is modelled."""
    for name, expert in experts(estimator):
        table, effect = expert.conformal, expert.conformal.site_effect
        if effect is not None:
            yield (
                f"- `{name}`: in units of sigma, errors differ by {effect.sd:.2f} between places "
                f"({effect.degrees_of_freedom:.1f} degrees of freedom) and by "
                f"{effect.within_sd:.2f} within them. No level is guaranteed."
            )
            continue
        reached = [f"{percent(level)} %" for level in LEVELS if table.guaranteed(level)]
        without = expert.conformal_without_weather
        apart = f"; without weather, {sessions_behind(without)} of their own" if without else ""
        yield (
            f"- `{name}`: {sessions_behind(table)} carry the guarantee at "
            f"{', '.join(reached) or 'no level'}; beyond, the tail is continued as normal{apart}."
        )


def _cells(figures: Mapping[str, Any]) -> Iterator[str]:
    yield str(figures["n"])
    yield str(figures["n_sessions"])
    for level in LEVELS:
        bounds = figures[f"coverage_interval_{percent(level)}"]
        spread = f" ({bounds[0]:.2f}–{bounds[1]:.2f})" if bounds else ""
        yield f"{figures[f'coverage_{percent(level)}']:.2f}{spread}"
    yield f"{figures['mean_width_90']:.0f}"
