"""What each part of the model is worth: the same scores with that part taken away.

python -m training.ablation DIR [DIR…]    # make ablation DATA="dir [dir…]"

Folds, fits and records are those of `training/cross_validation.py`. Every configuration is written
to build/ablation.json as soon as its last fold is in, and a run that was stopped goes on from
there, as long as data and code are the same. The page docs/scientific_background/ablation.md is
written from that file alone (`training/ablation_page.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.extractor import ScientificFeatureExtractor
from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from training.ablation_page import BUILD, PAGE, ablation_page
from training.camera_reference import fit_camera_references
from training.cross_validation import HeldOut, folds_of, side_by_side
from training.dataset import DataSet, dataset_hash, read_dataset
from training.fit import DISTANCE
from training.held_out import HeldOutAnswers, together
from training.rendered_scenes import PLACES
from training.run import SEED, STORE, read_tables
from training.scores import score_block
from training.splits import Fold
from training.table import TrainingTable

LEAST_SESSIONS = 10  # of an unseen site: ranks of fewer are chance
CAMERA_SPLITS = ("unseen_days", "unseen_months")
HONEST_SPLITS = (*CAMERA_SPLITS, "unseen_sites")
Scores = dict[str, Any]
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Configuration:
    """The model, and what of it is left.

    columns  the features that it may read
    splits   those that can tell it from the full model
    copies   whether altered copies choose its features and teach it steps
    scenes   whether rendered scenes teach it
    cameras  whether it may know a camera, and judge its photos against the usual one
    """

    name: str
    columns: tuple[str, ...]
    splits: tuple[str, ...] = HONEST_SPLITS
    copies: bool = True
    scenes: bool = True
    cameras: bool = True


def configurations(families: Mapping[str, Sequence[str]]) -> tuple[Configuration, ...]:
    """The full model and all that is compared with it; `families` are photo features by family."""
    photo = tuple(name for names in families.values() for name in names)
    full = (*photo, *SUN_FEATURES, *WEATHER_FEATURES)
    unweathered = (*photo, *SUN_FEATURES)
    with_control = (*HONEST_SPLITS, "random")
    # What the models for new places do not read cannot be taken from them.
    read_anywhere = [family for family, names in families.items() if set(names) & set(DISTANCE)]
    return (
        Configuration("full", full, with_control),
        Configuration("without weather", unweathered, with_control),
        Configuration("weather and sun alone", (*SUN_FEATURES, *WEATHER_FEATURES), scenes=False),
        Configuration("sun alone", SUN_FEATURES, scenes=False),
        # At an unseen site no camera is known to begin with.
        Configuration("camera withheld", full, CAMERA_SPLITS, cameras=False),
        Configuration("without altered copies", full, copies=False),
        # Rendered scenes teach the models for new places, and those alone.
        Configuration("without rendered scenes", full, ("unseen_sites",), scenes=False),
        *(
            Configuration(
                f"without {family}",
                tuple(name for name in full if name not in set(names)),
                HONEST_SPLITS if family in read_anywhere else CAMERA_SPLITS,
            )
            for family, names in families.items()
        ),
        *(
            Configuration(f"{family} alone", (*names, *SUN_FEATURES))
            for family, names in families.items()
        ),
    )


def ablate(
    table: TrainingTable,
    compared: Sequence[Configuration],
    *,
    seed: int,
    feature_set: str,
    rendered: TrainingTable | None,
    kept: Path = BUILD,
    about: Mapping[str, Any] | None = None,
    jobs: int = 2,
    progress: Progress = lambda done, total: done,
) -> Scores:
    """Scores of every configuration in `compared`, as they stand in `kept` at the end.

    Those that `kept` holds from the same data and code are not fitted again. `about` is written
    beside them; `progress` wraps the finished fits and is told their number.
    """
    made_of = _fingerprint(table, rendered, seed, feature_set)
    scores = _scores_in(kept, made_of)
    missing = [c for c in compared if c.name not in scores]
    folds = {split: _judged_folds(split, table) for split in (*HONEST_SPLITS, "random")}
    total = sum(len(folds[split]) for c in missing for split in c.splits)
    fits = (fit for c in missing for fit in _fits(c, table, rendered, folds, seed, feature_set))
    done = iter(progress(side_by_side(fits, jobs), total))
    for configuration in missing:
        answers = {split: [next(done) for _ in folds[split]] for split in configuration.splits}
        scores[configuration.name] = {
            split: _judge(split, together(parts)) for split, parts in answers.items() if parts
        }
        _write(kept, {"made_of": made_of, "about": dict(about or {}), "scores": scores})
    return {
        "made_of": made_of,
        "about": dict(about or {}),
        "scores": {c.name: scores[c.name] for c in compared},
    }


def _fits(
    configuration: Configuration,
    table: TrainingTable,
    rendered: TrainingTable | None,
    folds: Mapping[str, Sequence[Fold]],
    seed: int,
    feature_set: str,
) -> Iterator[HeldOut]:
    """The fits of a configuration, without the models that its test rows do not ask.

    Those for new places read nothing of camera references, those for known cameras nothing but
    the photos of cameras: the answers are the same as after the whole fit.
    """
    own = _left_of(table, configuration)
    taught = _left_of(rendered, configuration) if rendered and configuration.scenes else None
    strangers = _with_unknown_cameras(own)
    for split in configuration.splits:
        for fold in folds[split]:
            train = own.take(fold.train)
            asked = {own.cameras[i] for i in fold.test}
            known = fit_camera_references(train, feature_set).keys()
            if not configuration.cameras:
                yield HeldOut(strangers, fold, seed, feature_set, taught)
            elif asked <= known:
                of_cameras = fold.train[[bool(camera) for camera in train.cameras]]
                yield HeldOut(own, replace(fold, train=of_cameras), seed, feature_set, None)
            else:
                yield HeldOut(own, fold, seed, feature_set, taught)


def _left_of(table: TrainingTable, configuration: Configuration) -> TrainingTable:
    left = table.with_columns(configuration.columns)
    return left if configuration.copies else replace(left, copies=np.full_like(left.copies, np.nan))


def _with_unknown_cameras(table: TrainingTable) -> TrainingTable:
    """The same rows, none of whose cameras can be known: each photo of a fixed camera has one of
    its own. Without any it would count as hand-held, its day as one air (demonstrations)."""
    photos = tuple(
        replace(photo, metadata=replace(photo.metadata, camera=f"{photo.camera} of {photo.file}"))
        if photo.metadata.camera
        else photo
        for photo in table.photos
    )
    return replace(table, photos=photos)


def _judged_folds(split: str, table: TrainingTable) -> list[Fold]:
    """The folds of a split, with no more test rows than are judged; those without any left out."""
    fixed = np.array([bool(photo.camera) for photo in table.photos])
    sessions = table.sessions
    judged = []
    for fold in folds_of(split, table):
        test = fold.test
        if split in CAMERA_SPLITS:
            test = test[fixed[test]]
        if split == "unseen_sites" and len(np.unique(sessions[test])) < LEAST_SESSIONS:
            continue
        if len(test):
            judged.append(replace(fold, test=test))
    return judged


def _judge(split: str, answers: HeldOutAnswers) -> dict[str, Any]:
    """Records M, photos and sessions by day.

    by_day       {site: M} of the sites with a fixed camera; not for unseen_sites
    per_session  {site: M} of the sites of ten sessions or more; not for a known camera's splits
    """
    result: dict[str, Any] = {"by_day": {}, "per_session": {}}
    for site in np.unique(answers.site):
        own = answers.of(answers.site == site)
        lit = own.of(own.daytime())
        block = score_block(lit.labels, lit.predictions)
        if split != "unseen_sites" and lit.camera.any():
            result["by_day"][str(site)] = block["overall"]
        if split not in CAMERA_SPLITS and len(np.unique(own.session)) >= LEAST_SESSIONS:
            result["per_session"][str(site)] = block["per_session"]
    return result


def _fingerprint(
    table: TrainingTable, rendered: TrainingTable | None, seed: int, feature_set: str
) -> str:
    """SHA-256 of all that a score depends on: rows, and the code that fits and judges."""
    content = hashlib.sha256(f"{seed} {feature_set}".encode())
    for rows in (table, rendered):
        if rows is not None:
            for values in (rows.X, rows.copies, rows.pm25):
                content.update(np.ascontiguousarray(values).data)
            for photo in rows.photos:
                content.update(repr((photo.visit, photo.camera, photo.metadata)).encode())
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent / "handlers"):
        for source in sorted(folder.glob("*.py")):
            if source.name != "ablation_page.py":  # it words the scores, and makes none
                content.update(source.read_bytes())
    return content.hexdigest()


def _scores_in(kept: Path, made_of: str) -> Scores:
    if not kept.is_file():
        return {}
    content = json.loads(kept.read_text(encoding="utf-8"))
    return dict(content["scores"]) if content["made_of"] == made_of else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """In one step: whoever reads sees the whole of it, or the whole of what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def told(done: Iterable[Any], total: int) -> Iterator[Any]:
    """Pass on what is `done`; how many, how fast and how long it will take goes to stderr."""
    start = time.monotonic()
    for number, one in enumerate(done, start=1):
        a_minute = 60 * number / max(time.monotonic() - start, 1e-9)
        left = (total - number) / a_minute
        print(
            f"{number} of {total} fits, {a_minute:.1f} a minute, {left:.0f} minutes left",
            file=sys.stderr,
            flush=True,
        )
        yield one


def run(datasets: Sequence[DataSet], *, seed: int = SEED, jobs: int = 2) -> Scores:
    """Read the photos, or take them from the store, fit all that is missing, write the page."""
    photos = [photo for dataset in datasets for photo in dataset.rows]
    extractor = ScientificFeatureExtractor()
    table, _, rendered, _ = read_tables(
        photos, extractor, store=STORE, seed=seed, jobs=jobs, rendered_places=PLACES
    )
    result = ablate(
        table,
        configurations({family.name: family.names for family in extractor.families}),
        seed=seed,
        feature_set=extractor.feature_set,
        rendered=rendered,
        about={
            "data": {dataset.name: len(dataset.rows) for dataset in datasets},
            "data_hash": dataset_hash(datasets),
            "feature_set": extractor.feature_set,
            "seed": seed,
            "rendered": len(rendered) if rendered else 0,
        },
        jobs=jobs,
        progress=told,
    )
    PAGE.write_text(ablation_page(result), encoding="utf-8")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score the model without each of its parts.")
    parser.add_argument("data", nargs="+", type=Path, help="data set folders")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    arguments = parser.parse_args()
    run([read_dataset(folder) for folder in arguments.data], jobs=arguments.jobs)
