"""The store in S3: every upload carries its SHA-256, which S3 checks before it keeps the bytes."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from features.errors import DataStoreError
from training.data_versions.object_store import Stored, file_changed, object_missing

CONNECTIONS = 16  # kept open; more threads than that wait
_CHUNK = 1 << 20  # [bytes]
_ATTEMPTS = 5  # of each request, with growing pauses
_TAKEN = {"PreconditionFailed", "412"}
_AT_THE_SAME_TIME = {"ConditionalRequestConflict", "409"}
_MISSING = {"NoSuchKey", "404"}
_CHANGED = {"BadDigest", "XAmzContentChecksumMismatch", "InvalidRequest"}
_FORBIDDEN = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}


class S3Store:
    """The store in `bucket`, below `prefix` (may be empty). The bucket must exist."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        retries = {"mode": "standard", "max_attempts": _ATTEMPTS}
        with self._naming_the_bucket():
            self._client = boto3.client(
                "s3", config=Config(max_pool_connections=CONNECTIONS, retries=retries)
            )

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self._prefix}".rstrip("/")

    def tidy(self) -> None:
        """Nothing to do: S3 keeps no upload of one request that was cut off."""

    def stored(self, prefix: str) -> Iterator[Stored]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._prefix + prefix
        )
        with self._naming_the_bucket():
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield Stored(entry["Key"].removeprefix(self._prefix), entry["Size"])

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with path.open("rb") as body, self._naming_the_bucket():
            if hashlib.file_digest(body, "sha256").hexdigest() != sha256:
                raise file_changed(path)
            body.seek(0)
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=self._prefix + key,
                    Body=body,
                    ChecksumSHA256=checksum,
                )
            except ClientError as error:
                if _code(error) in _CHANGED:
                    raise file_changed(path) from error
                raise

    def create(self, key: str, content: bytes) -> bool:
        with self._naming_the_bucket():
            for attempt in range(_ATTEMPTS):
                try:
                    self._client.put_object(
                        Bucket=self.bucket,
                        Key=self._prefix + key,
                        Body=content,
                        ChecksumAlgorithm="SHA256",
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    if _code(error) in _TAKEN:
                        # A request that was sent again may find what it wrote itself.
                        return self.read(key) == content
                    if _code(error) not in _AT_THE_SAME_TIME or attempt == _ATTEMPTS - 1:
                        raise
                    time.sleep(0.1 * 2**attempt)
                else:
                    return True
        return False

    def read(self, key: str) -> bytes:
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        with self._naming_the_bucket():
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._prefix + key)
            except ClientError as error:
                if _code(error) in _MISSING:
                    raise object_missing(self, key) from error
                raise
            yield from answer["Body"].iter_chunks(_CHUNK)

    @contextmanager
    def _naming_the_bucket(self) -> Iterator[None]:
        """boto3's errors as ours: which bucket, and what to do."""
        try:
            yield
        except ClientError as error:
            forbidden = _code(error) in _FORBIDDEN
            raise DataStoreError(
                "store_forbidden" if forbidden else "store_unreachable",
                f"The bucket {self.bucket} does not answer as asked: {error}.",
                "Check the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or a profile) and what "
                "they may do."
                if forbidden
                else "Check that the bucket exists, and its region; then try again: what was "
                "uploaded stays.",
            ) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise DataStoreError(
                "store_unreachable",
                f"The bucket {self.bucket} cannot be reached: {error}.",
                "Check the network, AWS_ENDPOINT_URL and the credentials; then try again: what "
                "was uploaded stays.",
            ) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
