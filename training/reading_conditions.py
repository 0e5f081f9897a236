"""What decides, beside the feature set, what is read from a photo and whether it is read at all.

Two things do, and they change apart from each other: the *picture*, which is everything from the
file's bytes to light and the geometry of sky and ground, and the *gate*, which refuses a photo and
changes no value. Code is known by its syntax tree without docstrings: what a comment says moves no
number.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2

import features

_FOLDER = Path(features.__file__).parent
PICTURE_CODE = ("photo", "light", "sky")
GATE_CODE = ("quality",)
_SILENT = frozenset({"errors"})  # says why something failed, decides nothing


class Conditions(NamedTuple):
    """`text`, the whole of them, is part of a reading's key; `picture` is what its values need."""

    text: str
    picture: str


def reading_conditions(min_side: int) -> Conditions:
    """Those of a photo that goes through the gate with this limit [px]."""
    picture = picture_conditions()
    return Conditions(f"min_side={min_side} gate={_gate_code()} {picture}", picture)


def picture_conditions() -> str:
    """Those of whatever becomes a picture and is not asked whether it is fit."""
    return f"picture={_picture_code()} opencv={cv2.__version__}"


@cache
def _picture_code() -> str:
    return code_hash(closure(PICTURE_CODE))


@cache
def _gate_code() -> str:
    return code_hash(closure(GATE_CODE) - closure(PICTURE_CODE))


def code_hash(modules: Iterable[str]) -> str:
    """16 hexadecimal digits over what the files of `features` with these names do."""
    trees = (ast.dump(_without_docstrings(_tree(name))) for name in sorted(modules))
    return hashlib.sha256("\0".join(trees).encode()).hexdigest()[:16]


def closure(modules: Iterable[str]) -> frozenset[str]:
    """`modules`, and all that they import from `features`, however deep."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(_tree(name)) - _SILENT
    return frozenset(found)


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            if package == features.__name__:
                names.update([module] if module else [alias.name for alias in node.names])
    return names


def _tree(name: str) -> ast.Module:
    return ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return tree
