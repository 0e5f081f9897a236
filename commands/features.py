"""`pm25 features`: read photos into the feature store, look into it, and hold it to the photos."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import PM25Error

features = typer.Typer(
    no_args_is_help=True, help="The feature store: what was read from photos, once each."
)

Data = Annotated[list[Path], typer.Option("--data", help="A data set folder; more may follow it.")]
More = Annotated[list[Path] | None, typer.Argument(help="Further data set folders.")]
Store = Annotated[Path | None, typer.Option(help="The store; build/features.db if absent.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@features.command()
def extract(
    data: Data,
    more: More = None,
    store: Store = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes here, of one thread each.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(help="Work on the Dask cluster at this address, tcp://HOST:PORT.")
    ] = None,
    copies: Annotated[
        bool, typer.Option("--copies", help="Also the altered copies that training reads.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every photo that the store does not know; run it again to go on after a stop."""
    from features.extractor import ScientificFeatureExtractor
    from training.altered_features import store_altered_features
    from training.cluster import DaskCluster
    from training.extraction import photo_key, store_features
    from training.workers import LocalProcesses

    rows = _rows(data, more)
    extractor = ScientificFeatureExtractor()
    computing = DaskCluster(scheduler) if scheduler else nullcontext(LocalProcesses(jobs))
    with computing as workers, _opened(store, make=True) as opened:
        done = store_features(rows, opened, extractor, workers)
        refused = opened.refusals(map(photo_key, rows), extractor.feature_set)
        copied = 0
        if copies:
            kept = [row for row in rows if photo_key(row) not in refused]
            copied = store_altered_features(kept, opened, extractor, workers)
    result = done.as_json(refused.values()) | ({"copied": copied} if copies else {})
    if as_json:
        print(json.dumps(result, indent=2))
        return
    reasons = ", ".join(f"{count} {code}" for code, count in result["refused_by_reason"].items())
    print(
        f"{result['photos']} photos: {done.known} known before, {done.read} read, "
        f"{done.carried} taken over from earlier readings; refused: {reasons or 'none'}."
    )


@features.command()
def parity(
    data: Data,
    more: More = None,
    store: Store = None,
    sample: Annotated[int, typer.Option(min=1, help="Photos that are read again.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw; a new one if absent.")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative difference that passes; 0: the same bits.")
    ] = 1e-6,
    as_json: AsJson = False,
) -> None:
    """Read a sample of the stored photos again; exit 1 when a value is not what it was."""
    from dataclasses import asdict

    import numpy as np

    from features.extractor import ScientificFeatureExtractor
    from training.feature_parity import feature_parity

    with _opened(store) as opened:
        result = feature_parity(
            _rows(data, more),
            opened,
            ScientificFeatureExtractor(),
            sample=sample,
            rng=np.random.default_rng(seed),
            tolerance=tolerance,
        )
    if not result.checked:
        raise PM25Error(
            "nothing_stored",
            "The store holds none of these photos as this code reads them.",
            "Run `pm25 features extract` with the same --data and --store first.",
        )
    if as_json:
        print(json.dumps({**asdict(result), "tolerance": tolerance}, indent=2))
    else:
        for it in result.differences:
            print(f"{it.file}  {it.feature}: stored {it.stored}, now {it.recomputed}")
        names = sorted({it.feature for it in result.differences})
        verdict = f"differences in {', '.join(names)}" if names else "no difference"
        print(f"{result.checked} of {result.stored} stored photos read again: {verdict}.")
    if result.differences:
        raise typer.Exit(1)


@features.command()
def show(store: Store = None, as_json: AsJson = False) -> None:
    """Say what the store holds: its size, feature sets, readings, refusals and provenance."""
    from features.extractor import ScientificFeatureExtractor
    from training.feature_store_summary import store_summary

    with _opened(store) as opened:
        summary = store_summary(opened, ScientificFeatureExtractor().feature_set)
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    print(f"{summary['store']}: {summary['n_readings']} readings, {summary['bytes'] / 1e6:.1f} MB")
    for of_set in summary["feature_sets"]:
        _print_set(of_set)
    for made_by in summary["provenances"]:
        libraries = ", ".join(f"{name} {number}" for name, number in made_by["libraries"].items())
        print(f"made by {made_by['extractor']}: {libraries or 'libraries unknown'}")


@features.command()
def latest(
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1000, store: Store = None
) -> None:
    """Print the photos that came in last as JSON lines, the newest first: values by name."""
    from features.extractor import ScientificFeatureExtractor
    from training.reading_conditions import picture_conditions

    extractor = ScientificFeatureExtractor()
    with _opened(store) as opened:
        rows = opened.latest(count, extractor.feature_set, picture_conditions())
    for sha256, created_at, reading in rows:
        line: dict[str, Any] = {"sha256": sha256, "created_at": created_at}
        if reading.values is None:
            line["refusal"] = reading.refusal._asdict() if reading.refusal else None
        else:
            values = reading.values.tolist()
            numbers = (value if value == value else None for value in values)  # nan is not JSON
            line["features"] = dict(zip(extractor.names, numbers, strict=True))
        print(json.dumps(line, allow_nan=False))


def _print_set(of_set: dict[str, Any]) -> None:
    families = ", ".join(f"{f['family']} {f['version']}" for f in of_set["families"])
    current = "the current one" if of_set["current"] else "an earlier one"
    print(
        f"\nfeature set {of_set['feature_set'][:12]}, {current}: {families or 'families unknown'}"
    )
    for kind in of_set["readings"]:
        reasons = ", ".join(f"{n} {code}" for code, n in kind["refused_by_reason"].items())
        print(
            f"  {kind['n_readings']:>9}  {kind['first_at'][:10]} to {kind['last_at'][:10]}  "
            f"{kind['conditions']}" + (f"; refused: {reasons}" if reasons else "")
        )


def _rows(data: list[Path], more: list[Path] | None) -> list[Any]:
    from training.dataset import read_dataset

    return [row for folder in (*data, *(more or [])) for row in read_dataset(folder).rows]


def _opened(store: Path | None, *, make: bool = False) -> Any:
    from training.feature_store import FeatureStore
    from training.run import STORE

    path = store or STORE
    if not make and not path.is_file():
        raise PM25Error(
            "no_store",
            f"There is no feature store {path}.",
            "Make one with `pm25 features extract`, or name another with --store.",
        )
    return FeatureStore(path)
