"""Everything that is asked of held-out answers, in one record that a program can read.

    report = ScientificValidator(read_held_out(folder)).report()

    format, model_version, dataset_hash   what was judged
    level                                 of the bootstrap intervals [1]
    sites                                 {site: {n, n_sessions, lat, lon}}, positions to 0.1 deg
    splits                                {split: {variant: {records: {question: …}}}}

`records` are what the questions are asked of:

    photos        every photo counts once; intervals are over whole sessions
    sessions      every session counts once, by its medians
    known_camera  photos by day of a fixed view that training knew

and each question is a file of this package: its docstring says what every figure means. Variants
but `full` hold `accuracy`, `coverage` and `probabilistic` alone, as does the split `random`, a
control for leakage and no result. Numbers have six digits; what is not defined is None.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from features.errors import DataSetError
from training.held_out import HeldOutAnswers
from training.table import WITHOUT_PHOTO
from training.validation.accuracy import accuracy, accuracy_by_quality
from training.validation.agreement import category_agreement
from training.validation.bootstrap import Resampling
from training.validation.coverage import coverage, coverage_by_group, worst_group
from training.validation.plausibility import plausibility
from training.validation.probabilistic import probabilistic
from training.validation.residuals import points, residual_by_hour, sites, worst_cases
from training.validation.sensor_targets import sensor_targets
from training.validation.skill import skill
from training.validation.sparsification import risk_coverage, sparsification
from training.validation.spatial import spatial_consistency
from training.validation.temporal import temporal_consistency

FORMAT = 1
FULL, CONTROL = "full", "random"
Answers = Mapping[str, Mapping[str, HeldOutAnswers]]
Block = dict[str, Any]


class ScientificValidator:
    """Asks every question of the answers to held-out photos.

    answers        by split and variant, as `training.held_out.read_held_out` gives them; any split
                   and any variant may be missing, and what rests on it is then left out
    model_version, dataset_hash  what made them, where that is known
    resamples      of each bootstrap
    """

    def __init__(
        self,
        answers: Answers,
        *,
        model_version: str | None = None,
        dataset_hash: str | None = None,
        resamples: int = 1000,
    ) -> None:
        self.answers = answers
        self.model_version = model_version
        self.dataset_hash = dataset_hash
        self.by_session = Resampling(resamples=resamples)
        self.by_site = Resampling(over="site", resamples=resamples)

    def report(self, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        """The record above; `progress` is told the name of each part before it is worked out."""
        splits: Block = {}
        for split, variants in self.answers.items():
            splits[split] = {}
            for variant, answers in variants.items():
                progress(f"{split}, {variant}")
                splits[split][variant] = self._variant(split, variant, answers)
        places: Block = {}
        for variants in self.answers.values():
            for site, place in sites(variants[FULL]).items() if FULL in variants else ():
                # A split may hold a part of a site alone, such as a camera's later months.
                places[site] = max(places.get(site, place), place, key=lambda one: one["n"])
        report = {
            "format": FORMAT,
            "model_version": self.model_version,
            "dataset_hash": self.dataset_hash,
            "level": self.by_session.level,
            "sites": dict(sorted(places.items())),
            "splits": splits,
        }
        rounded: dict[str, Any] = _six_digits(report)
        return rounded

    def _variant(self, split: str, variant: str, answers: HeldOutAnswers) -> Block:
        known = answers.of(answers.known_camera & answers.daytime())
        records = {"photos": answers, "sessions": answers.per_session()}
        if len(known):
            records["known_camera"] = known
        blocks = {name: self._always(record) for name, record in records.items()}
        if variant != FULL or split == CONTROL:
            return blocks
        weather_only = self.answers[split].get(WITHOUT_PHOTO)
        for name, record in records.items():
            other = weather_only
            if name == "sessions" and weather_only is not None:
                other = weather_only.per_session()
            blocks[name] |= self._asked(record, other)
            blocks[name] |= self._single(record) if name == "sessions" else self._moving(record)
            if name != "photos":  # thousands, of which many share a label
                blocks[name]["points"] = points(record)
        return blocks

    def _always(self, answers: HeldOutAnswers) -> Block:
        return {
            "accuracy": accuracy(answers, self.by_session),
            "coverage": coverage(answers, self.by_session),
            "probabilistic": probabilistic(answers),
        }

    def _asked(self, answers: HeldOutAnswers, weather_only: HeldOutAnswers | None) -> Block:
        """Of photos and of sessions alike."""
        groups = coverage_by_group(answers, self.by_session)
        return {
            "accuracy_by_quality": accuracy_by_quality(answers, self.by_session),
            "coverage_by_group": groups,
            "worst_group": worst_group(groups),
            "skill": skill(answers, weather_only, self.by_session),
            "sparsification": sparsification(answers),
            "risk_coverage": risk_coverage(answers),
            "agreement": category_agreement(answers),
        }

    def _single(self, answers: HeldOutAnswers) -> Block:
        """What only makes sense where a session is one row."""
        per_site = {
            site: answers.of(answers.site == site) for site in sorted(set(answers.site.tolist()))
        }
        return {
            "over_sites": {
                "accuracy": accuracy(answers, self.by_site),
                "coverage": coverage(answers, self.by_site),
            },
            "per_site": {
                site: {
                    "accuracy": accuracy(own, self.by_session),
                    "skill": skill(own, None, self.by_session),
                }
                for site, own in per_site.items()
            },
        }

    def _moving(self, answers: HeldOutAnswers) -> Block:
        """What only makes sense where every photo is a row."""
        return {
            "temporal": temporal_consistency(answers),
            "spatial": spatial_consistency(answers),
            "sensor_targets": sensor_targets(answers),
            "plausibility": plausibility(answers),
            "residual_by_hour": residual_by_hour(answers),
            "worst_cases": worst_cases(answers),
        }


def report_json(report: Mapping[str, Any]) -> str:
    """The record as a file: one figure a line, a list of figures in one line."""
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n *", " ", found[0]), text) + "\n"


def read_report(path: Path) -> dict[str, Any]:
    """What `report_json` wrote. Raises DataSetError when the file holds something else."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict) or "splits" not in report:
        raise DataSetError(
            "broken_report",
            f"{path} holds no figures of a validation report.",
            "Name the JSON that `make validate` wrote.",
        )
    return report


def _six_digits(value: Any) -> Any:
    """The same with floats of six significant digits: no figure rests on more.

    Raises ValueError for a number that JSON cannot hold.
    """
    if isinstance(value, Mapping):
        return {str(name): _six_digits(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_six_digits(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no figure of a report; undefined is None.")
        return float(f"{value:.6g}")
    return value
