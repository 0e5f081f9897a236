"""The budgets, and how a measured number is held against one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Budget:
    """What may be spent at most, or reached at least. `unit` is "×" for a ratio of one run."""

    what: str
    sense: Literal["at most", "at least"]
    limit: float
    unit: str

    def holds(self, measured: float) -> bool:
        return measured <= self.limit if self.sense == "at most" else measured >= self.limit


REDUCED_12MP = Budget("decode to estimate / its reduced decode, 12 MP", "at most", 2.0, "×")
REDUCED_1080P = Budget("decode to estimate / its reduced decode, 1080p", "at most", 3.8, "×")
FULL_12MP = Budget("decode to estimate / full decode, 12 MP", "at most", 0.8, "×")
FULL_1080P = Budget("decode to estimate / full decode, 1080p", "at most", 3.0, "×")
STRAIGHTFORWARD = Budget("straightforward.py / decode to estimate, 1080p", "at least", 25.0, "×")
MC_SAMPLES = Budget("100 Monte Carlo samples, in place", "at most", 0.3, "ms")
DEEP_NET = Budget("deep net, in place", "at most", 1.5, "ms")
REST = Budget("REST p50 / (compute + echo p50), 1080p", "at most", 1.15, "×")
TWO_WORKERS = Budget("throughput of two workers / of one, 12 MP", "at least", 1.7, "×")
MEMORY = Budget("JVM and one worker, PSS", "at most", 600.0, "MB")
FIRST_ANSWER = Budget("start to first answer", "at most", 6.0, "s")
CACHED = Budget("extraction of 100,000 photos, all cached", "at most", 10.0, "s")
EXTRACTION = Budget("extraction on two processes / on one, 1080p", "at least", 1.8, "×")
LOOK_UP = Budget("look-up by key among 1,000,000 readings", "at most", 1.0, "ms")
WINDOW = Budget("the last 1,000 of 1,000,000 readings", "at most", 20.0, "ms")
TRAINING = Budget("training with scores, cold store, 2 cores", "at most", 6.0, "min")


@dataclass(frozen=True)
class Measurement:
    """One row of the table; `value` is None where nothing was measured, and `note` says why."""

    budget: Budget
    value: float | None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "-"
        return "met" if self.budget.holds(self.value) else "MISSED"

    def as_json(self) -> dict[str, object]:
        return {**asdict(self.budget), "value": self.value, "met": self.verdict, "note": self.note}


def budget_table(rows: Sequence[Measurement]) -> str:
    """The rows as aligned text, one line each."""
    lines = [f"{'':52} {'budget':>16} {'measured':>10}"]
    for row in rows:
        budget = row.budget
        limit = f"{budget.sense} {budget.limit:g} {budget.unit}"
        measured = "-" if row.value is None else f"{row.value:.2f} {budget.unit}"
        lines.append(f"{budget.what:52} {limit:>16} {measured:>10}  {row.verdict:6} {row.note}")
    return "\n".join(line.rstrip() for line in lines)
