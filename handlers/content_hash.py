"""The name of what an archive computes: one hash over its artefact and the code that reads it.

An archive knows its own name while it runs, and a tree knows that of the archive it would be
packaged into: names and contents count, never dates, compression or TorchServe's manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

PACKAGES = ("features", "handlers")
ENTRY = "handlers/pm25_handler.py"  # in an archive it lies at the root, where TorchServe looks
_KINDS = (".py", ".safetensors")


def combined_hash(sums: Mapping[str, str]) -> str:
    """SHA-256 over the SHA-256 of each file, by its name in the archive."""
    whole = hashlib.sha256()
    for name in sorted(sums):
        whole.update(f"{name}\0{sums[name]}\n".encode())
    return whole.hexdigest()


def bundled_code(root: Path) -> dict[str, Path]:
    """The code below `root`, a tree or an unpacked archive, by its name in an archive."""
    packaged = {
        path.relative_to(root).as_posix(): path
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in _KINDS
    }
    entry = packaged.pop(ENTRY, root / Path(ENTRY).name)
    return {**packaged, Path(ENTRY).name: entry}


def running_content_hash(artifact: Path) -> str:
    """The name of the archive that holds the artefact in the folder `artifact` and this very code.

    Raises OSError when a file cannot be read. Takes 4 ms for an archive of 3 MB.
    """
    files = bundled_code(Path(__file__).resolve().parent.parent) | {
        f"artifact/{path.relative_to(artifact).as_posix()}": path
        for path in artifact.rglob("*")
        if path.is_file()
    }
    return combined_hash(
        {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    )
