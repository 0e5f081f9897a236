"""Which store an address names: an S3 bucket, or a folder of this disk."""

from __future__ import annotations

import os
from pathlib import Path

from features.errors import DataStoreError
from training.data_versions.local_store import LocalStore
from training.data_versions.object_store import ObjectStore

SETTING = "PM25_DATASETS"  # the environment variable that names the store
DEFAULT = "datasets"  # a folder, where nothing else is said


def store_at(address: str | None = None) -> ObjectStore:
    """The store at `s3://bucket/prefix` or in a folder; by default where PM25_DATASETS says.

    Endpoint, region and keys of S3 are boto3's own settings (AWS_ENDPOINT_URL and the like).
    """
    address = address or os.environ.get(SETTING, "").strip() or DEFAULT
    if address.startswith("s3://"):
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise DataStoreError(
                "invalid_store", f"{address!r} names no bucket.", "Write s3://bucket/prefix."
            )
        from training.data_versions.s3_store import S3Store  # boto3 takes half a second

        return S3Store(bucket, prefix.strip("/"))
    if "://" in address:
        raise DataStoreError(
            "invalid_store",
            f"{address!r} is no place that data sets can be stored in.",
            f"Set {SETTING} to s3://bucket/prefix or to a folder.",
        )
    return LocalStore(Path(address))
