"""Where frames come from: a camera's address, or a folder that something else fills.

An address gives the picture of now. A folder gives every file that was not seen before, so that
what was photographed while nobody collected is not lost.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import httpx2
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from features.photo import MAX_BYTES
from training.collection.configuration import CollectionError
from training.collection.frame import Frame, Refused, frame_of, read_frame
from training.dataset_folder import pictures_below
from training.ground_truth.client import certificates
from training.ground_truth.clock import Clock

CONNECT_TIMEOUT, READ_TIMEOUT, TRANSFER_TIMEOUT = 5.0, 15.0, 30.0  # [s]
ATTEMPTS = 3
AHEAD = timedelta(minutes=2)  # a camera's clock may run ahead by so much
OLDEST = timedelta(minutes=30)  # of a frame when it is given
SETTLED = 60.0  # [s] a file that was written to since may not be whole yet


class SeenFile(NamedTuple):
    """A file of the folder as it was looked at: another size or time is another file."""

    name: str
    size: int
    modified_ns: int


def fetch_frame(address: str, min_side: int, clock: Clock, *, dated: bool) -> Frame | Refused:
    """What the camera at `address` shows now; credentials may stand in the address.

    They are sent when the camera asks for them, and as it asks: most want a digest.

    dated  its Last-Modified header, where there is one, is the time of the frame

    Raises CollectionError camera_silent, which never repeats the address' credentials.
    """
    url = httpx2.URL(address)
    bare = url.copy_with(username=None, password=None)
    shown = str(bare.copy_with(query=None))
    try:
        with httpx2.Client(
            timeout=httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            verify=certificates(),
            follow_redirects=True,
        ) as client:
            patiently = Retrying(
                stop=stop_after_attempt(ATTEMPTS),
                retry=retry_if_exception_type(httpx2.TransportError),
                wait=wait_random(0.5, 1.5),
                sleep=clock.sleep,
                reraise=True,
            )
            response, data = patiently(_download, client, bare, None)
            if response.status_code == 401 and url.username:
                response, data = patiently(_download, client, bare, _credentials(url, response))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _silent(shown, type(error).__name__) from None
    if response.status_code != 200:
        raise _silent(shown, f"it answered {response.status_code}")
    now = clock.now()
    read = read_frame(data, min_side)
    if isinstance(read, Refused):
        return read
    captured_at = (_last_modified(response) if dated else None) or now
    if captured_at > now + AHEAD:
        return Refused("frame_undated", f"Its Last-Modified is {captured_at:%Y-%m-%d %H:%M} UTC.")
    if captured_at < now - OLDEST:
        return Refused(
            "frame_old",
            f"Its Last-Modified is {captured_at:%Y-%m-%d %H:%M} UTC. If the camera's clock is "
            "wrong, say last_modified = false.",
        )
    return frame_of(read, min(captured_at, now))


def new_files(folder: Path, seen: set[SeenFile], clock: Clock) -> list[SeenFile]:
    """The pictures in `folder` and below it that are not `seen`, the oldest first.

    One that was written to within the last minute is left for later. Raises CollectionError.
    """
    if not folder.is_dir():
        raise CollectionError(
            "camera_silent", f"{folder} is no folder.", "Correct [camera] folder, or mount it."
        )
    found = []
    for path in pictures_below(folder):
        with suppress(FileNotFoundError):  # it was moved away meanwhile
            state = path.stat()
            file = SeenFile(path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns)
            if file not in seen and state.st_mtime <= clock.now().timestamp() - SETTLED:
                found.append(file)
    return sorted(found, key=lambda file: (file.modified_ns, file.name))


def read_file(folder: Path, file: SeenFile, min_side: int, clock: Clock) -> Frame | Refused:
    """The frame in a file: its time is EXIF's where that is certain, else the file's own."""
    try:
        read = read_frame((folder / file.name).read_bytes(), min_side)
    except OSError as error:
        return Refused("frame_unreadable", f"{file.name}: {error.strerror}")
    if isinstance(read, Refused):
        return Refused(read.reason, f"{file.name}: {read.detail}")
    captured_at = read.captured_at or datetime.fromtimestamp(file.modified_ns / 1e9, UTC)
    if captured_at > clock.now() + AHEAD:
        return Refused("frame_undated", f"{file.name}: taken at {captured_at.isoformat()}.")
    return frame_of(read, captured_at)


def _download(
    client: httpx2.Client, url: httpx2.URL, auth: httpx2.Auth | None
) -> tuple[httpx2.Response, bytes]:
    """Response and body; a body that drips, or does not end, is cut off and no picture."""
    ends_at = time.monotonic() + TRANSFER_TIMEOUT
    with client.stream("GET", url, auth=auth) as response:
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > MAX_BYTES or time.monotonic() > ends_at:
                break
        return response, bytes(data)


def _credentials(url: httpx2.URL, refusal: httpx2.Response) -> httpx2.Auth:
    asked_for = refusal.headers.get("www-authenticate", "").lower()
    kind = httpx2.DigestAuth if "digest" in asked_for else httpx2.BasicAuth
    return kind(url.username, url.password)


def _last_modified(response: httpx2.Response) -> datetime | None:
    try:
        date = parsedate_to_datetime(response.headers.get("last-modified", ""))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _silent(address: str, what: str) -> CollectionError:
    return CollectionError(
        "camera_silent",
        f"The camera at {address} gave no picture: {what}.",
        "Open the address in a browser; it is asked again within its minutes.",
    )
