"""Measure every budget in one run: `make bench`, or `python -m benchmarks`.

Prints the table of budgets, where the time of an answer goes and what the features cost, and
writes all of it to build/bench.json. Ratios compare what was measured side by side; the machine
should have nothing else to do. `--train DIR [DIR …]` adds a training on those data sets, with a
cold store; `--write-costs docs/feature_costs.csv` measures the costs of the features alone, for
`python -m training.features_page`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before NumPy reads them

import cv2  # noqa: E402
import torch  # noqa: E402

from benchmarks import budgets  # noqa: E402
from benchmarks.archives import echo_archive, measured_archive, unpacked_artifact  # noqa: E402
from benchmarks.budgets import Measurement, budget_table  # noqa: E402
from benchmarks.cached import cached_extraction  # noqa: E402
from benchmarks.concurrency import Concurrency, concurrency, concurrency_table  # noqa: E402
from benchmarks.extraction_rate import extraction_rate  # noqa: E402
from benchmarks.feature_costs import feature_costs, write_costs  # noqa: E402
from benchmarks.full_decode import FullDecoder  # noqa: E402
from benchmarks.photos import SIZES, photo_files  # noqa: E402
from benchmarks.serving import (  # noqa: E402
    first_answer,
    memory_mb,
    request_times,
    serving,
    set_workers,
    throughput,
)
from benchmarks.side_by_side import compared  # noqa: E402
from benchmarks.stages import DEEP_FEATURES, MC_SAMPLES, NETWORK, stage_times  # noqa: E402
from benchmarks.ways import answering, reduced_decode, straightforward  # noqa: E402
from handlers.predictor import Predictor  # noqa: E402
from lifecycle.torchserve import archive_version  # noqa: E402
from training.dataset import read_dataset  # noqa: E402
from training.run import train  # noqa: E402

FOLDER = Path("build/bench")
REPORT = Path("build/bench.json")
SKETCHED = 5  # photos that straightforward.py sees: it takes most of a second for each
REQUESTED = 8  # photos that are sent to the server
REQUESTS = 12  # rounds of them
FULL_LOAD = 8.0  # [s]
CACHED_PHOTOS = 100_000
HD, PHONE = SIZES


def main() -> None:
    """Measure, print, write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--train", nargs="+", type=Path, metavar="DIR", help="time a training too")
    parser.add_argument("--write-costs", type=Path, metavar="CSV", help="cost of each feature only")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if arguments.write_costs:
        costs = feature_costs(photo_files(FOLDER, HD))
        write_costs(costs, arguments.write_costs)
        print(costs.table())
        return
    begun = time.monotonic()
    archive, models = measured_archive(FOLDER)
    with tempfile.TemporaryDirectory(prefix="pm25-bench-") as scratch:
        predictor = Predictor.load(unpacked_artifact(archive, Path(scratch)))
        rows, stages = measure_estimate(predictor)
        served, at_once = measure_serving(archive, Path(scratch))
        rows += served
        rows += measure_extraction(Path(scratch))
    costs = feature_costs(photo_files(FOLDER, HD))
    rows.append(measure_training(arguments.train or ()))
    print(f"Models: {models}. Load of this machine: {os.getloadavg()[0]:.1f}\n")
    print(budget_table(rows))
    print("\nThe time of one answer, in place [ms]\n" + stage_table(stages))
    print("\nSeveral clients at once, in times of one client\n" + concurrency_table(at_once))
    print("\nThe cost of the features of one photo, in place [µs]\n" + costs.table())
    report = {
        "models": models,
        "budgets": [row.as_json() for row in rows],
        "stages_ms": stages,
        "concurrency": [vars(row) for row in at_once],
        "feature_costs": costs.as_json(),
    }
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{time.monotonic() - begun:.0f} s; also in {REPORT}")


def measure_estimate(
    predictor: Predictor,
) -> tuple[list[Measurement], dict[str, dict[str, float]]]:
    """Everything from bytes to estimate, on one thread; and the stages of it, by size."""
    hd, phone = (photo_files(FOLDER, size) for size in (HD, PHONE))
    answer = answering(predictor)
    for photo in (*hd[:3], *phone[:3]):
        answer(photo)  # fills the tables that are made once
    straightforward(hd[0])  # builds its net
    with FullDecoder() as full:
        comparisons = {
            budgets.REDUCED_12MP: compared(phone, answer, reduced_decode(PHONE.decode_factor)),
            budgets.REDUCED_1080P: compared(hd, answer, reduced_decode(HD.decode_factor)),
            budgets.FULL_12MP: compared(phone, answer, full.milliseconds, rounds=3),
            budgets.FULL_1080P: compared(hd, answer, full.milliseconds),
            budgets.STRAIGHTFORWARD: compared(hd[:SKETCHED], straightforward, answer, rounds=2),
        }
    stages = {
        HD.name: stage_times(predictor, hd, rounds=5),
        PHONE.name: stage_times(predictor, phone, rounds=2),
    }
    in_place = stages[HD.name]
    deep_net = in_place[NETWORK] + in_place[DEEP_FEATURES]
    return [
        *(Measurement(budget, it.ratio, str(it)) for budget, it in comparisons.items()),
        Measurement(budgets.MC_SAMPLES, in_place[MC_SAMPLES]),
        Measurement(budgets.DEEP_NET, deep_net),
    ], stages


def measure_serving(archive: Path, scratch: Path) -> tuple[list[Measurement], list[Concurrency]]:
    """Everything that needs TorchServe, on ports of its own."""
    hd, phone = (
        [photo.read_bytes() for photo in photo_files(FOLDER, size)[:REQUESTED]]
        for size in (HD, PHONE)
    )
    version = archive_version(archive)
    with serving(archive) as (server, start):
        start += first_answer(server, hd[0])
        with serving(echo_archive(scratch)) as (echo, _):
            times = request_times(server, echo, hd, REQUESTS)
        before = throughput(server, phone, 2, FULL_LOAD / 2)
        memory = memory_mb(server)
        set_workers(server, version, 2)
        throughput(server, phone, 4, 2.0)  # warms up
        two = throughput(server, phone, 4, FULL_LOAD)
        set_workers(server, version, 1)
        after = throughput(server, phone, 2, FULL_LOAD / 2)
        at_once = concurrency(server, archive, hd)
    least = times.compute + times.echo
    one = (before.rate + after.rate) / 2
    return [
        Measurement(
            budgets.REST,
            times.answer / least,
            f"{times.answer:.1f} / ({times.compute:.1f} + {times.echo:.1f}) ms",
        ),
        Measurement(
            budgets.TWO_WORKERS,
            two.rate / one,
            f"{two.rate:.1f} / {one:.1f} a second; the client took {two.client_cores:.2f} cores",
        ),
        Measurement(budgets.MEMORY, memory, "after 12 MP photos"),
        Measurement(budgets.FIRST_ANSWER, start),
    ], at_once


def measure_extraction(scratch: Path) -> list[Measurement]:
    """Photos into the feature store, and out of it again; each in a process of its own."""
    rate = extraction_rate(FOLDER, scratch)
    cached = cached_extraction(scratch, CACHED_PHOTOS)
    return [
        Measurement(budgets.EXTRACTION, rate.ratio, str(rate)),
        Measurement(budgets.CACHED, cached.seconds, str(cached)),
    ]


def measure_training(folders: Sequence[Path]) -> Measurement:
    """A training on `folders` with a cold store; none without folders: it takes minutes."""
    if not folders:
        return Measurement(budgets.TRAINING, None, "ask for it: --train DIR [DIR …]")
    with tempfile.TemporaryDirectory(prefix="pm25-bench-") as scratch:
        start = time.monotonic()
        datasets = [read_dataset(folder) for folder in folders]
        train(datasets, "0.0.1-bench", store=Path(scratch) / "cold.db", runs=Path(scratch))
        return Measurement(budgets.TRAINING, (time.monotonic() - start) / 60)


def stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    """A line a stage, a column a size of photo."""
    lines = [f"{'':26}" + "".join(f"{size:>8}" for size in stages)]
    for stage in next(iter(stages.values())):
        numbers = "".join(f"{times[stage]:8.2f}" for times in stages.values())
        lines.append(f"{stage:26}{numbers}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
