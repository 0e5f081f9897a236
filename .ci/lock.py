"""Write requirements.lock: the exact versions of everything that our extras pull in.

The versions are those of the running environment, so what was tested is what is locked. Only the
closure of pyproject.toml's requirements is written: a package that merely happens to be installed
stays out. A requirement of ours that is not installed here (the Java wheel where the system has
Java, the macOS build of a library) keeps the version that the lock already holds.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"

HEADER = """\
# Exact versions of everything that pyproject.toml pulls in, as a pip constraints file:
#     pip install -c requirements.lock -e ".[dev]"
# Written by `make lock` from a tested environment. No hashes, no index addresses and no local
# labels, so that torch's CPU build fits as well as the default one; none of its CUDA packages.
"""

# The build backend and what it needs for an editable install.
BUILD = ("hatchling", "editables")

# torch's default Linux build brings these; which ones depends on the build, never on us.
CUDA = re.compile(r"^(nvidia-|cuda-|triton$)")


def requirements_of_the_project() -> tuple[str, list[Requirement]]:
    """The project's own name and every requirement of its base set, extras and build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *BUILD,
        *(line for extra in extras.values() for line in extra),
    ]
    return canonicalize_name(project["name"]), [Requirement(line) for line in lines]


def locked_versions() -> dict[str, str]:
    """What the present lock holds, by canonical name."""
    if not LOCK.exists():
        return {}
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)$", LOCK.read_text(), re.MULTILINE)
    return dict(pins)


def closure() -> dict[str, str]:
    """Canonical name to version, over everything that the project needs directly or indirectly."""
    project, waiting = requirements_of_the_project()
    ours = {canonicalize_name(requirement.name) for requirement in waiting} - {project}
    before = locked_versions()
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if name == project or CUDA.match(name) or key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            if name not in ours or name not in before:
                sys.exit(f"{name} is neither installed here nor locked: install it first.")
            versions[name] = before[name]
            continue
        versions[name] = found.version.partition("+")[0]
        for line in found.requires or []:
            needed = Requirement(line)
            extras = ("", *requirement.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return versions


if __name__ == "__main__":
    pins = closure()
    LOCK.write_text(HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins)))
    print(f"{LOCK.name}: {len(pins)} packages")
