"""Which archive is in production: the one line of `model_store/production`."""

from __future__ import annotations

from pathlib import Path

from features.errors import ArtifactError
from training.package import archive_name

MODEL_STORE = Path("model_store")


def archive_path(version: str, model_store: Path = MODEL_STORE) -> Path:
    """Where the archive of `version` lies; whether it exists is the caller's question."""
    return model_store / archive_name(version)


def production_archive(model_store: Path = MODEL_STORE) -> Path:
    """The archive that `make serve` loads.

    Raises ArtifactError when the pointer or the archive it names is missing.
    """
    pointer = model_store / "production"
    if not pointer.is_file():
        raise ArtifactError(
            "no_production",
            f"{pointer} does not exist, so no archive is in production here.",
            "Run this in the project's folder, or name an archive.",
        )
    archive = model_store / pointer.read_text(encoding="utf-8").strip()
    if not archive.is_file():
        raise ArtifactError(
            "no_archive",
            f"{pointer} names {archive.name}, which is not in {model_store}.",
            "Fetch the archive with git, or build it with `make train` and `make package`.",
        )
    return archive
