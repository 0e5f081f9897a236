"""One round of collecting: recover, take the frame, settle labels, write the data set. The loop.

A round may end anywhere, by a kill or a power cut, and the next one goes on from the journal. Two
rounds never run at once in one folder.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from training.collection.camera import AHEAD, fetch_frame, new_files, read_file
from training.collection.configuration import Collection, CollectionError
from training.collection.frame import Frame, Refused
from training.collection.journal import FILE as JOURNAL
from training.collection.journal import Journal, KeptFrame
from training.collection.labelling import settle_labels
from training.dataset_folder import card_toml, csv_text, labels_csv, put_in_place
from training.ground_truth.clock import Clock
from training.ground_truth.measurement import GroundTruthSource
from training.pairing_table import PAIRING_COLUMNS

RETRY = timedelta(minutes=1)  # while the frame of these minutes is missing
LONGEST_SLEEP = timedelta(minutes=10)
_LOCK = ".collection.lock"


@dataclass(frozen=True)
class Round:
    """What one round did. `problems` in words; `missing`: these minutes have no frame yet."""

    taken: tuple[str, ...]
    refused: tuple[Refused, ...]
    labelled: int
    given_up: int
    problems: tuple[str, ...]
    missing: bool


@dataclass(frozen=True)
class State:
    """What a collection holds.

    frames    pictures in the data set
    labelled  of these, those with a label
    waiting   whose label may still come
    given_up  whose hour nobody has any more
    refused   frames that were not kept, by reason
    """

    folder: str
    frames: int
    labelled: int
    waiting: int
    given_up: int
    refused: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def collect_once(collection: Collection, source: GroundTruthSource, clock: Clock) -> Round:
    """Do what can be done now, and leave the data set's folder whole.

    Raises CollectionError: already_running, another_collection, and those of the journal. What the
    camera or the source lacks is no error: it stands in `problems`.
    """
    with _alone(collection.folder), _journal(collection) as journal:
        journal.recover()
        if behind := _behind(journal, clock.now()):
            return Round((), (), 0, 0, (behind,), missing=True)
        taken, refused, problems = _take(collection, journal, clock)
        labels = settle_labels(collection, journal, source, clock.now())
        write_dataset(collection, journal)
        missing = collection.frames is None and not journal.has_slot(collection.slot(clock.now()))
    return Round(
        tuple(taken),
        tuple(refused),
        labels.labelled,
        labels.given_up,
        (*problems, *labels.problems),
        missing,
    )


def collect(
    collection: Collection,
    source: GroundTruthSource,
    clock: Clock,
    report: Callable[[Round], None],
) -> None:
    """Collect until interrupted; `report` hears of every round."""
    while True:
        done = collect_once(collection, source, clock)
        report(done)
        clock.sleep(until_next_round(collection, clock.now(), missing=done.missing))


def until_next_round(collection: Collection, now: datetime, *, missing: bool) -> float:
    """How long to wait [s]: to the next stretch of minutes, less while a frame is missing."""
    next_slot = collection.slot(now) + collection.every.total_seconds() - now.timestamp()
    return min(
        next_slot, RETRY.total_seconds() if missing else next_slot, LONGEST_SLEEP.total_seconds()
    )


def state_of(collection: Collection) -> State:
    """What the collection holds. Raises CollectionError nothing_collected."""
    if not (collection.folder / JOURNAL).is_file():
        raise CollectionError(
            "nothing_collected",
            f"{collection.folder} holds no collection.",
            "Collect something first, or correct [dataset] folder.",
        )
    with _journal(collection) as journal:
        labels = journal.labels()
        labelled = sum(bool(cells["pm25"]) for cells, _ in labels.values())
        frames = len(journal.frames())
        return State(
            str(collection.folder),
            frames,
            labelled,
            frames - len(labels),
            len(labels) - labelled,
            journal.refused(),
        )


def write_dataset(collection: Collection, journal: Journal) -> None:
    """`dataset.toml`, `pairing.csv` and `labels.csv` as the journal has it, where they differ."""
    labels = journal.labels()
    rows, pairing = [], []
    for frame in journal.frames():
        cells, paired = labels.get(frame.file, ({}, None))
        rows.append(_row(collection, frame) | cells)
        waiting = {"file": frame.file, "captured_at": frame.captured_at.isoformat()}
        pairing.append(paired or waiting | {"reason": "waiting"})
    card = card_toml(
        collection.name,
        collection.licence,
        f"Camera {collection.camera} at {collection.site}; PM2.5 of {collection.source}, "
        f"{collection.rule.method} within {collection.rule.radius_km:g} km",
        collection.min_side,
    )
    for name, text in (
        ("dataset.toml", card),
        ("pairing.csv", csv_text(PAIRING_COLUMNS, pairing)),
        ("labels.csv", labels_csv(rows)),
    ):
        path = collection.folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            put_in_place(path, text)


def _take(
    collection: Collection, journal: Journal, clock: Clock
) -> tuple[list[str], list[Refused], list[str]]:
    """The files that were taken, what was refused, and what went wrong."""
    taken: list[str] = []
    refused: list[Refused] = []
    try:
        for frame in _frames(collection, journal, clock):
            if isinstance(frame, Frame):
                kept = _keep(collection, journal, frame, clock.now())
                if isinstance(kept, str):
                    taken.append(kept)
                    continue
                frame = kept
            journal.refuse(collection.slot(clock.now()), frame)
            if frame.reason != "slot_taken":  # that is how a full folder is thinned out
                refused.append(frame)
    except CollectionError as error:
        if error.code != "camera_silent":
            raise
        return taken, refused, [str(error)]
    return taken, refused, []


def _frames(collection: Collection, journal: Journal, clock: Clock) -> Iterator[Frame | Refused]:
    """What the camera has for us now: one frame if it is due, or every new file."""
    if collection.frames is None:
        if not journal.has_slot(collection.slot(clock.now())):
            yield fetch_frame(
                collection.address, collection.min_side, clock, dated=collection.last_modified
            )
        return
    for file in new_files(collection.frames, journal.seen_files(), clock):
        read = read_file(collection.frames, file, collection.min_side, clock)
        if isinstance(read, Refused) or not journal.knows(read.sha256):
            yield read
        journal.see(file)  # only after the frame was recorded


def _keep(collection: Collection, journal: Journal, frame: Frame, now: datetime) -> str | Refused:
    """Put the frame into the data set, under its local time: its file, or the refusal."""
    local = frame.captured_at.astimezone(collection.timezone).replace(microsecond=0)
    frame = replace(frame, captured_at=local)
    file = f"images/{local:%Y-%m-%d}/{local:%Y-%m-%dT%H-%M-%S%z}.{frame.suffix}"

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(path, frame.data)

    return journal.keep(frame, file, collection.slot(local), now, write) or file


def _row(collection: Collection, frame: KeptFrame) -> dict[str, str]:
    day = f"{frame.captured_at:%Y-%m-%d}"
    return {
        "file": frame.file,
        "site": collection.site,
        "camera": collection.camera,
        "country": collection.country,
        "lat": f"{collection.lat:.6f}",
        "lon": f"{collection.lon:.6f}",
        "captured_at": frame.captured_at.isoformat(),
        "session": f"{collection.site}-{collection.camera}-{day}",
    }


def _journal(collection: Collection) -> Journal:
    at = f"{collection.lat:.4f}, {collection.lon:.4f}"
    return Journal(collection.folder, f"camera '{collection.camera}' at '{collection.site}' ({at})")


def _behind(journal: Journal, now: datetime) -> str:
    """Why the clock cannot be right, or nothing.

    A small computer without a clock of its own wakes up in the past, and no frame may be of then.
    """
    newest = journal.newest()
    if newest is None or now >= newest - AHEAD:
        return ""
    return (
        f"It is {now:%Y-%m-%d %H:%M} UTC here, before the last frame was taken "
        f"({newest:%Y-%m-%d %H:%M}). Nothing is done until the clock is set."
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system drops it with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CollectionError(
                "already_running",
                f"Another process is collecting into {folder}.",
                "Let it work, or stop it first.",
            ) from None
        yield
