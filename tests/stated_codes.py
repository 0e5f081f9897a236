"""Every code that a client can be told, read from the source of what tells it.

A code stands there as text, or as a constant of its module: the first argument of an error of a
request, a photo or its metadata, or of a `Finding`; or else it is handed over to a function that
passes it on to one of these. Those of the edge stand in its configuration.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features import errors

ROOT = Path(__file__).resolve().parent.parent
# An archive that refuses to load says so to its operator, and offline.py to `pm25 evaluate`.
FOLDERS, LEFT_OUT = ("features", "handlers"), ("offline.py", "errors.py")
ERRORS = ("RequestError", "PhotoError", "MetadataError", "PM25Error")


@dataclass(frozen=True)
class Stated:
    """One place that states a code: by which error, or with which severity of a finding."""

    code: str
    by: str
    status: int | None = None


def stated() -> set[Stated]:
    """Every code of every place."""
    found = set()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.name not in LEFT_OUT:
                found |= set(_in_module(ast.parse(path.read_text(encoding="utf-8")), path.name))
    return found


def problem_statuses() -> dict[str, int]:
    """Code to HTTP status of every problem: of errors, findings that are errors, and the edge."""
    found = dict.fromkeys(_of_findings("error"), errors.PhotoError.status)
    for one in stated() | set(_of_the_edge()):
        if one.status is not None:
            assert found.setdefault(one.code, one.status) == one.status, f"two of {one.code}"
    return found


def warnings() -> set[str]:
    """The codes of findings that are warnings."""
    return _of_findings("warning")


def _of_the_edge() -> Iterator[Stated]:
    text = (ROOT / "infra" / "edge" / "nginx.conf").read_text(encoding="utf-8")
    for status, code in re.findall(r'"status": (\d+), "code": "(\w+)"', text):
        yield Stated(code, "edge", int(status))


def _of_findings(severity: str) -> set[str]:
    return {one.code for one in stated() if one.by in (severity, "either")}


def _in_module(module: ast.Module, name: str) -> Iterator[Stated]:
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    passing_on: dict[str, ast.Call] = {}  # function → the call that it passes its first word to
    for function in (n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)):
        words = {argument.arg for argument in function.args.args}
        for call in _stating(function):
            if isinstance(call.args[0], ast.Name) and call.args[0].id in words:
                passing_on[function.name] = call
    for call in (n for n in ast.walk(module) if isinstance(n, ast.Call) and n.args):
        stating = passing_on.get(_called(call), call)
        if _called(stating) not in (*ERRORS, "Finding"):
            continue
        code = call.args[0]
        if isinstance(code, ast.Name) and code.id in constants:
            yield _stated(str(constants[code.id]), stating)
        elif isinstance(code, ast.Constant):
            yield _stated(str(code.value), stating)
        elif isinstance(code, ast.Name):
            assert call in passing_on.values(), f"{name}:{call.lineno} hides its code"
        else:  # a code that was stated elsewhere goes on its way
            assert isinstance(code, ast.Attribute), f"{name}:{call.lineno} hides its code"


def _stating(node: ast.AST) -> list[ast.Call]:
    calls = (inner for inner in ast.walk(node) if isinstance(inner, ast.Call) and inner.args)
    return [call for call in calls if _called(call) in (*ERRORS, "Finding")]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _stated(code: str, stating: ast.Call) -> Stated:
    by = _called(stating)
    if by == "Finding":
        severity = stating.args[1] if len(stating.args) > 1 else None
        return Stated(code, str(severity.value) if isinstance(severity, ast.Constant) else "either")
    for keyword in stating.keywords:
        if keyword.arg == "status" and isinstance(keyword.value, ast.Constant):
            return Stated(code, by, int(str(keyword.value.value)))
    return Stated(code, by, int(getattr(errors, by).status))
