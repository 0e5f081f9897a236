"""Whether a candidate may replace what serves: its validation report against stated limits.

Each limit stands with its reason in gate_limits.toml and names one figure of the report. A figure
passes when it lies inside the limit, bounds included:

    at_least, at_most    bounds of the figure
    contains             a number that the figure, an interval (lower, upper), must hold
    at_most_of           a second figure of the same report that bounds the first, times `factor`

Against another report, that of the archive in production, a figure must not be worse by more than
a stated margin:

    may_rise_by, may_fall_by    in the figure's own unit
    may_rise_share              as a share of what it was, for figures above 0

A figure that is missing, null or no finite number fails its check: what was not measured is not
passed over. Judging is pure; only `read_limits` reads a file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any

__all__ = ["LIMITS_FILE", "Check", "Limit", "Verdict", "judge", "read_limits"]

LIMITS_FILE = Path(__file__).with_name("gate_limits.toml")
_MARGINS = ("may_rise_by", "may_fall_by", "may_rise_share")
_KINDS = ("at_least", "at_most", "contains", "at_most_of", *_MARGINS)


@dataclass(frozen=True)
class Limit:
    """One limit on one figure.

    name    of the check
    figure  where the report holds it: keys from the outermost inwards
    guards  what goes wrong beyond the limit
    reason  why this number and no other
    source  where the number is from: a reference, a measurement, or the project's own aim
    at_least … may_rise_share  its bounds: see the module
    """

    name: str
    figure: tuple[str, ...]
    guards: str
    reason: str
    source: str
    at_least: float | None = None
    at_most: float | None = None
    contains: float | None = None
    at_most_of: tuple[str, ...] | None = None
    factor: float = 1.0
    may_rise_by: float | None = None
    may_fall_by: float | None = None
    may_rise_share: float | None = None

    @property
    def is_margin(self) -> bool:
        """Whether it compares two reports."""
        return any(getattr(self, kind) is not None for kind in _MARGINS)


@dataclass(frozen=True)
class Check:
    """One limit as it was met or missed.

    measured  the figure, a number or an interval; None where the report has none
    limit     the limit in words and numbers
    detail    what is missing, or empty
    """

    name: str
    passed: bool
    measured: float | tuple[float, float] | None
    limit: str
    guards: str
    reason: str
    source: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """Every check in the order of the limits; passed when each is, and when there is one."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


def judge(
    report: Mapping[str, Any],
    against: Mapping[str, Any] | None = None,
    limits: Sequence[Limit] | None = None,
) -> Verdict:
    """Check the JSON of a `ScientificValidator` against `limits`, by default those of LIMITS_FILE.

    against: the JSON of the archive in production. Without it the margins are left out: there is
    nothing that the candidate could be worse than.
    """
    chosen = read_limits() if limits is None else limits
    return Verdict(
        tuple(
            _compared(limit, report, against) if limit.is_margin else _checked(limit, report)
            for limit in chosen
            if against is not None or not limit.is_margin
        )
    )


def read_limits(path: Path = LIMITS_FILE) -> tuple[Limit, ...]:
    """The limits of a TOML file: tables `[[limit]]`, with the fields of `Limit`.

    Raises ValueError when one lacks a reason, bounds nothing, or has a field that is not known.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8")).get("limit", [])
    if not tables:
        raise ValueError(f"{path.name} holds no [[limit]].")
    return tuple(_limit(table) for table in tables)


def _limit(table: Mapping[str, Any]) -> Limit:
    unknown = set(table) - {field.name for field in fields(Limit)}
    empty = [
        name for name in ("name", "figure", "guards", "reason", "source") if not table.get(name)
    ]
    if unknown or empty or not any(kind in table for kind in _KINDS):
        raise ValueError(
            f"Limit {table.get('name', '?')!r}: unknown fields {sorted(unknown)}, empty fields "
            f"{empty}; it needs one of {', '.join(_KINDS)}."
        )
    paths: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }
    return Limit(**paths)


def _checked(limit: Limit, report: Mapping[str, Any]) -> Check:
    """A limit on one report."""
    measured = _figure(report, limit.figure)
    problems = [] if measured is not None else [_absent(limit.figure)]
    passed = measured is not None
    bounds: list[str] = []
    if limit.contains is not None:
        bounds.append(f"contains {limit.contains:g}")
        passed = isinstance(measured, tuple) and measured[0] <= limit.contains <= measured[1]
        if isinstance(measured, float):
            problems.append(f"{_path(limit.figure)} is a number; the limit asks for an interval")
    elif isinstance(measured, tuple):
        passed = False
        problems.append(f"{_path(limit.figure)} is an interval; the limit asks for a number")
    for words, bound in _bounds_of(limit, report):
        bounds.append(f"{words} {'?' if bound is None else format(bound, 'g')}")
        if bound is None:
            assert limit.at_most_of is not None
            problems.append(_absent(limit.at_most_of))
            passed = False
        elif not isinstance(measured, float):
            passed = False
        else:
            passed &= measured >= bound if words == "at least" else measured <= bound
    return _check(limit, passed, measured, ", ".join(bounds), problems)


def _bounds_of(limit: Limit, report: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    bounds: list[tuple[str, float | None]] = []
    if limit.at_least is not None:
        bounds.append(("at least", limit.at_least))
    if limit.at_most is not None:
        bounds.append(("at most", limit.at_most))
    if limit.at_most_of is not None:
        other = _figure(report, limit.at_most_of)
        bounds.append(("at most", limit.factor * other if isinstance(other, float) else None))
    return bounds


def _compared(limit: Limit, report: Mapping[str, Any], against: Mapping[str, Any] | None) -> Check:
    """A margin between two reports."""
    measured, before = _figure(report, limit.figure), _figure(against or {}, limit.figure)
    problems = [
        _absent(limit.figure) + where
        for value, where in ((measured, ""), (before, " to compare with"))
        if not isinstance(value, float)
    ]
    if not isinstance(measured, float) or not isinstance(before, float):
        return _check(limit, False, measured, "a margin to production", problems)
    passed, bounds = True, []
    if limit.may_rise_by is not None:
        passed &= measured <= before + limit.may_rise_by
        bounds.append(f"at most {before:g} + {limit.may_rise_by:g}")
    if limit.may_fall_by is not None:
        passed &= measured >= before - limit.may_fall_by
        bounds.append(f"at least {before:g} − {limit.may_fall_by:g}")
    if limit.may_rise_share is not None:
        passed &= measured <= before * (1 + limit.may_rise_share)
        bounds.append(f"at most {before:g} + {limit.may_rise_share:.0%}")
    return _check(limit, passed, measured, ", ".join(bounds), problems)


def _check(
    limit: Limit,
    passed: bool,
    measured: float | tuple[float, float] | None,
    bounds: str,
    problems: Sequence[str],
) -> Check:
    return Check(
        name=limit.name,
        passed=passed,
        measured=measured,
        limit=bounds,
        guards=limit.guards,
        reason=limit.reason,
        source=limit.source,
        detail="; ".join(problems),
    )


def _figure(report: Mapping[str, Any], path: Sequence[str]) -> float | tuple[float, float] | None:
    """The number or the interval at `path`; None where there is none that is finite."""

    def inside(block: Any, key: str) -> Any:
        return block.get(key) if isinstance(block, Mapping) else None

    value = reduce(inside, path, report)
    if isinstance(value, list | tuple) and len(value) == 2:
        bounds = [_number(bound) for bound in value]
        if bounds[0] is None or bounds[1] is None:
            return None
        return bounds[0], bounds[1]
    return _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _absent(path: Sequence[str]) -> str:
    return f"the report holds no figure at {_path(path)}"


def _path(path: Sequence[str]) -> str:
    return " › ".join(path)
