"""Validation of a data set for training: what is bad is set apart with a reason, the rest is used.

Three questions are asked of each row, in this order, and the first that fails sets it apart:

    does it keep the contract of `labels.csv`?          training/label_lines.py
    can its label be true?                              training/label_checks.py
    is its photo fit to be judged, at the set's size?   features/quality.py

A row is never repaired and never dropped in silence: the report counts it, and `quarantine.csv`
holds its line, its reason and its cells, ready to be corrected and put back.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import DataSetError
from training.dataset import DataSet, QuarantinedRow, SourceRow, read_sound_rows
from training.datasets_db import DATASETS_DB, DatasetsDatabase
from training.file_hashes import FileHashes
from training.first_look import FirstLook, first_looks
from training.label_checks import LABEL_CODES, LabelFinding, check_labels
from training.meter import Meter, silent

QUARANTINE = "quarantine.csv"


class Warned(NamedTuple):
    """A row that is used although something about it is odd."""

    line: int
    file: str
    code: str
    reason: str


@dataclass(frozen=True)
class ValidatedDataSet:
    """What validation leaves.

    dataset      the rows that are used; photos that were refused are not among them
    quarantined  the others, by line
    warnings     by line
    """

    dataset: DataSet
    quarantined: tuple[QuarantinedRow, ...]
    warnings: tuple[Warned, ...]

    def summary(self) -> str:
        """One line: how many rows are used, and how many are set apart, by code."""
        counts = _by_code(self.quarantined)
        reasons = ", ".join(f"{count} {code}" for code, count in counts.items())
        n_rows = len(self.dataset.rows) + len(self.quarantined)
        used = f"{self.dataset.name}: {len(self.dataset.rows)} of {n_rows} rows are used"
        return f"{used}; quarantined: {reasons}" if reasons else used

    def report(self) -> dict[str, Any]:
        """The verdict as plain values: counts by code, and every row with its reason."""
        return {
            "dataset": self.dataset.name,
            "folder": str(self.dataset.folder),
            "min_side": self.dataset.min_side,
            "n_rows": len(self.dataset.rows) + len(self.quarantined),
            "n_kept": len(self.dataset.rows),
            "n_quarantined": len(self.quarantined),
            "quarantined_by_code": _by_code(self.quarantined),
            "warnings_by_code": _by_code(self.warnings),
            "quarantined": [
                {
                    "line": row.line,
                    "file": row.cells.get("file", ""),
                    "code": row.code,
                    "reason": row.reason,
                }
                for row in self.quarantined
            ],
            "warnings": [warned._asdict() for warned in self.warnings],
        }


def validated(
    folder: Path,
    database: DatasetsDatabase,
    *,
    keep: Collection[str] = (),
    jobs: int = 2,
    meter: Meter = silent,
) -> ValidatedDataSet:
    """Validate the data set in `folder`; `database` remembers hashes and looks.

    keep  codes of label checks that only warn: for labels that are true however odd they look

    Raises DataSetError for what no single row is to blame for, and unknown_code.
    """
    unknown = sorted(set(keep) - set(LABEL_CODES))
    if unknown:
        raise DataSetError(
            "unknown_code",
            f"No label check is called {', '.join(unknown)}.",
            f"Name some of {', '.join(LABEL_CODES)}.",
        )
    dataset, rows, quarantined = read_sound_rows(folder, FileHashes(database, meter))
    findings = check_labels([row.photo for row in rows])
    looks = first_looks([row.photo for row in rows], database, jobs=jobs, meter=meter)
    bad = _bad(rows, findings, looks, keep)
    warnings = [
        warned
        for number, warned in _warnings(rows, findings, looks, keep)
        if rows[number].line not in bad
    ]
    sound = tuple(row.photo for row in rows if row.line not in bad)
    return ValidatedDataSet(
        replace(dataset, rows=sound),
        tuple(sorted([*quarantined, *bad.values()])),
        tuple(sorted(warnings)),
    )


def validated_sets(
    folders: Iterable[Path],
    *,
    keep: Collection[str] = (),
    jobs: int = 2,
    meter: Meter = silent,
    database: Path = DATASETS_DB,
) -> list[ValidatedDataSet]:
    """`validated` of each folder, with one datasets.db in `database`."""
    with DatasetsDatabase(database) as opened:
        return [validated(folder, opened, keep=keep, jobs=jobs, meter=meter) for folder in folders]


def quarantine_csv(quarantined: Iterable[tuple[str, QuarantinedRow]]) -> str:
    """The text of `quarantine.csv`: data set, line, code and reason, then the row as it was."""
    rows = list(quarantined)
    columns = list(dict.fromkeys(column for _, row in rows for column in row.cells))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "line", "code", "reason", *columns])
    for dataset, row in rows:
        cells = (row.cells.get(column, "") for column in columns)
        writer.writerow([dataset, row.line, row.code, row.reason, *cells])
    return text.getvalue()


def _bad(
    rows: Sequence[SourceRow],
    findings: Iterable[LabelFinding],
    looks: Sequence[FirstLook],
    keep: Collection[str],
) -> dict[int, QuarantinedRow]:
    """By line; of several reasons the label's come first, and all are told."""
    reasons: dict[int, list[tuple[str, str]]] = {}
    for finding in findings:
        if finding.severity == "error" and finding.code not in keep:
            reasons.setdefault(finding.row, []).append((finding.code, finding.reason))
    for number, look in enumerate(looks):
        if look.refusal is not None:
            reasons.setdefault(number, []).append((look.refusal.code, look.refusal.detail))
    return {
        rows[number].line: QuarantinedRow(
            rows[number].line,
            rows[number].cells,
            found[0][0],
            "; ".join(reason for _, reason in found),
        )
        for number, found in reasons.items()
    }


def _warnings(
    rows: Sequence[SourceRow],
    findings: Iterable[LabelFinding],
    looks: Sequence[FirstLook],
    keep: Collection[str],
) -> Iterable[tuple[int, Warned]]:
    told = [
        (finding.row, finding.code, finding.reason)
        for finding in findings
        if finding.severity == "warning" or finding.code in keep
    ]
    told += [
        (number, issue.code, issue.detail)
        for number, look in enumerate(looks)
        for issue in look.issues
        if issue.severity == "warning"
    ]
    for number, code, reason in told:
        yield number, Warned(rows[number].line, rows[number].photo.file, code, reason)


def _by_code(rows: Iterable[QuarantinedRow | Warned]) -> Mapping[str, int]:
    return dict(Counter(row.code for row in rows).most_common())
