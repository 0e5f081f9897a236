"""How an archive answers to changes whose effect is known: `make metamorphic`.

    python -m benchmarks.metamorphic [--archive a.mar] [--json build/metamorphic.json]

Haze is added, the air made humid, the photo mirrored, compressed, resized and exposed anew: on
rendered photos, on Milan's by day and on Indian frames where the development data are there.
Milan is asked twice, with its camera named and with it withheld. An archive is run with the code
inside it. Photos that it refuses leave their rate, and are counted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.relations import (
    RH_DRY,
    RH_WET,
    Rate,
    haze_rates,
    humidity_rates,
    invariance_rates,
    table,
)
from benchmarks.views import Group, View, real_groups, rendered_group
from lifecycle.production import production_archive
from tests.added_haze import CHANGES, as_png, hazy_series, read_picture
from training.archive import RunningArchive
from training.evaluate import request_metadata

REPORT = Path("build/metamorphic.json")
HAZE = tuple(f"haze_{step}" for step in range(6))
AS_SENT, LOSSLESS, DRY, WET = "as_sent", "haze_0", "dry", "wet"


@dataclass
class Block:
    """The answers about one group of photos: for each, a mapping from change to estimate.

    The estimate is nan where a photo is refused. Nothing is required where `photos` is empty.
    """

    title: str
    photos: str
    estimates: list[Mapping[str, float]] = field(default_factory=list)

    def rates(self) -> list[Rate]:
        """Every rate that these answers give."""
        found = haze_rates(self.photos, self._complete(HAZE))
        dry, wet = self._complete((DRY, WET)).T
        if not len(dry):
            return found
        found += humidity_rates(self.photos, dry, wet)
        for change in CHANGES:
            reference = LOSSLESS if change.lossless_reference else AS_SENT
            before, after = self._complete((reference, change.name)).T
            found += invariance_rates(self.photos, change.kind, change.name, before, after)
        return found

    @property
    def refused(self) -> int:
        """Files that were not answered."""
        return sum(bool(np.isnan(value)) for row in self.estimates for value in row.values())

    def as_json(self) -> dict[str, object]:
        rates = [rate.as_json() for rate in self.rates()]
        return {"n": len(self.estimates), "refused": self.refused, "rates": rates}

    def _complete(self, names: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """(n, names) of the photos for which every one of `names` was asked and answered."""
        rows = [
            [row[name] for name in names]
            for row in self.estimates
            if all(name in row for name in names)
        ]
        values = np.array(rows, dtype=np.float64).reshape(-1, len(names))
        return values[np.isfinite(values).all(axis=1)]


def measure(archive: Path, groups: Iterable[Group]) -> list[Block]:
    """Ask `archive` about every view of `groups` under every change."""
    blocks = []
    with RunningArchive(archive) as running, tempfile.TemporaryDirectory() as scratch:
        for group in groups:
            found = [Block(title, group.photos) for title in group.titles]
            for number, view in enumerate(group.views):
                changed = group.changed > 0 and number % group.changed == 0
                answers = ask(running, view, group.withheld, Path(scratch), changed=changed)
                for block, estimates in zip(found, answers, strict=True):
                    block.estimates.append(estimates)
            blocks += found
    return blocks


def ask(
    running: RunningArchive,
    view: View,
    withheld: Sequence[Sequence[str]],
    folder: Path,
    *,
    changed: bool,
) -> list[dict[str, float]]:
    """Estimates of one photo under every change, once for each group of metadata `withheld`.

    `changed` asks for more than haze.
    """
    picture = read_picture(view.photo.path.read_bytes())
    series = hazy_series(picture, view.photo.camera)
    files = {name: as_png(hazy) for name, hazy in zip(HAZE, series, strict=True)}
    if changed:
        files |= {change.name: change.apply(picture) for change in CHANGES}
    paths = {name: folder / name for name in files}
    for name, content in files.items():
        paths[name].write_bytes(content)
    humid: dict[str, dict[str, object]] = {}
    if changed:
        paths |= dict.fromkeys((AS_SENT, DRY, WET), view.photo.path.resolve())
        humid = {
            name: {"relative_humidity_pct": humidity}
            for name, humidity in ((DRY, RH_DRY), (WET, RH_WET))
        }
    found = []
    for without in withheld:
        known = request_metadata(view.photo.metadata, without)
        replies = running.answers(
            {"photo": str(path), "metadata": known | humid.get(name, {}), "min_side": 1}
            for name, path in paths.items()
        )
        found.append(
            {
                name: reply["answer"]["pm25_estimate"] if "answer" in reply else float("nan")
                for name, reply in zip(paths, replies, strict=True)
            }
        )
    return found


def main() -> None:
    """Measure, print, write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metamorphic", description=__doc__)
    parser.add_argument("--archive", type=Path, help="the production archive if absent")
    parser.add_argument("--json", type=Path, default=REPORT, help=f"the report, {REPORT} if absent")
    parser.add_argument(
        "--missed", type=Path, help="also write which rates are missed, as tests/missed_rates.txt"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    archive = arguments.archive or production_archive()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        blocks = measure(archive, [rendered_group(Path(scratch) / "rendered"), *real_groups()])
    print(f"# {archive.name}: how often each relation held\n")
    for block in blocks:
        print(f"## {block.title}: {len(block.estimates)} photos, {block.refused} files refused\n")
        print(table(block.rates()) + "\n")
    print(f"{time.monotonic() - begun:.0f} s")
    if arguments.missed:
        missed = [
            f"{b.title}\t{rate.name}\n" for b in blocks for rate in b.rates() if not rate.holds
        ]
        arguments.missed.write_text("".join(missed), encoding="utf-8")
    report = {"archive": archive.name, "blocks": {block.title: block.as_json() for block in blocks}}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
