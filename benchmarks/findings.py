"""What came of mutated requests, held against docs/openapi.yaml and the limits of a run.

No reply may be a 5xx, and every body obeys its schema. Besides, memory must not grow, workers must
not be restarted, and of the changed valid photos at least a fifth must still be answered: refusing
everything would be easy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.mutants import Mutant
from tests.contract import assert_obeys

ANSWERED_AT_LEAST = 0.20
GROWTH_AT_MOST = 0.03  # of the memory in use, from the middle third of a run to its last

UNREADABLE_FORM = 403  # what TorchServe says by itself; the edge makes a problem of it


@dataclass
class Findings:
    """What came of the mutants so far.

    seed       of the mutants
    statuses   how often each status, by kind of mutant
    photos     valid photos that were changed, and nothing else
    answered   of these
    faults     the first faults, each with the number that repeats it
    memory_mb  resident memory after each block, without what drawing the mutants has taken
    """

    seed: int
    done: int = 0
    seconds: float = 0.0
    photos: int = 0
    answered: int = 0
    restarts: int = 0
    n_faults: int = 0
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Findings:
        found = cls(**content)
        found.statuses = {kind: Counter(counts) for kind, counts in found.statuses.items()}
        found.codes = Counter(found.codes)
        return found

    @property
    def answered_share(self) -> float:
        return self.answered / self.photos if self.photos else 0.0

    @property
    def growth(self) -> float:
        """Of memory, from the median of the middle third of the blocks to that of the last."""
        third = len(self.memory_mb) // 3
        if third < 3:
            return 0.0
        return median(self.memory_mb[-third:]) / median(self.memory_mb[third:-third]) - 1

    @property
    def passed(self) -> bool:
        """Whether nothing broke."""
        return (
            self.n_faults == self.restarts == 0
            and self.answered_share >= ANSWERED_AT_LEAST
            and self.growth <= GROWTH_AT_MOST
        )

    def note(self, name: str, made: Mutant, reply: tuple[int, str, bytes]) -> None:
        """Count one reply, and what is wrong with it."""
        status, media_type, body = reply
        self.statuses.setdefault(made.kind, Counter())[str(status)] += 1
        self.done += 1
        if made.of_a_photo:
            self.photos += 1
            self.answered += status == 200
        wrong = fault(status, media_type, body, explained=made.explain)
        if wrong:
            self.n_faults += 1
            self.faults[20:] = []
            self.faults.append(f"{name} {made.kind}: {wrong}")
        elif status != 200:
            self.codes[str(json.loads(body)["code"])] += 1

    def table(self) -> str:
        """A line a kind of mutant, then what is held against the limits."""
        columns = sorted({status for counts in self.statuses.values() for status in counts})
        lines = [f"{'':12}" + "".join(f"{status:>10}" for status in columns)]
        for kind, counts in sorted(self.statuses.items()):
            lines.append(f"{kind:12}" + "".join(f"{counts[status]:10}" for status in columns))
        memory = f"{self.memory_mb[-1]:.0f} MB, {self.growth:+.1%}" if self.memory_mb else "-"
        lines += [
            f"{self.done} mutants of seed {self.seed}; faults: {self.n_faults}; worker restarts: "
            f"{self.restarts}",
            f"of {self.photos} changed photos {self.answered_share:.0%} were answered "
            f"(at least {ANSWERED_AT_LEAST:.0%}); memory {memory} (at most {GROWTH_AT_MOST:+.0%})",
        ]
        return "\n".join(lines + self.faults)


def fault(status: int, media_type: str, body: bytes, *, explained: bool = False) -> str | None:
    """What is wrong with a reply; None where it obeys the contract."""
    try:
        content = json.loads(body, parse_constant=_no_number)
        if status >= 500:
            return f"status {status}, {content.get('code')}"
        if status == UNREADABLE_FORM:
            assert media_type == "application/json", media_type
            assert_obeys(content, "TorchServeError")
            assert content["type"].endswith("ErrorDataDecoderException"), content["type"]
            return None
        if status != 200:
            assert media_type.startswith("application/problem+json"), media_type
            assert_obeys(content, "Problem")
            return None
        assert media_type.startswith("application/json"), media_type
        several = "answers" in content
        assert_obeys(content, _schema(several, explained))
        for one in content["answers"] if several else [content]:
            if "code" in one:
                assert one["status"] < 500, one["code"]
            else:
                interval = one["interval"]
                assert interval["lower"] <= one["pm25_estimate"] <= interval["upper"], interval
    except (AssertionError, ValueError) as error:
        return f"status {status}, {error}"
    return None


def _schema(several: bool, explained: bool) -> str:
    if explained:
        return "ExplainedAnswers" if several else "ExplainedAnswer"
    return "Answers" if several else "Answer"


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
