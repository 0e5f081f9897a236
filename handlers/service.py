"""From a request to its reply: answers, or problems that say what to do.

It knows neither TorchServe nor HTTP beyond a status and a media type, and it never raises: what
goes wrong with one photo is that photo's problem, and no neighbour's in a batch.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import PM25Error, RequestError
from handlers.metrics import ANSWERED
from handlers.predictor import Predictor
from handlers.problem import PROBLEM_MEDIA_TYPE, internal_error, problem
from handlers.request import PhotoRequest, read_request
from handlers.trace import Trace

# [s] After this, photos of a request that wait for their turn are not begun: TorchServe takes a
# worker that is silent for 60 s for dead, and a single photo has at most a few seconds.
TIME_LIMIT = 30.0
JSON_MEDIA_TYPE = "application/json"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How one photo fared, for the counters and the prediction log.

    code     `answered` or a problem's code; no text of a request
    answer   what the client got; None for a problem
    seconds  from bytes to answer [s]
    trace    what was seen on that way
    """

    code: str
    status: int
    answer: Mapping[str, Any] | None = None
    seconds: float = 0.0
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True)
class Reply:
    """What the client gets, and what the counters are told."""

    status: int
    media_type: str
    body: bytes
    outcomes: tuple[Outcome, ...]


def reply(
    predictor: Predictor,
    parts: Mapping[str, object],
    *,
    content_type: str = "",
    request_id: str | None = None,
    explain: bool = False,
) -> Reply:
    """Answer the request whose parts are `parts` (see handlers/request.py), and why with `explain`.

    One photo: its answer (200), or its problem with the problem's status. Several: 200 and
    {"answers": […]}, each an answer or a problem with its `status`.
    """
    try:
        request = read_request(parts, content_type)
    except PM25Error as error:
        return refusal(error, request_id)
    except Exception as error:
        _log_where(error, request_id)
        return refusal(internal_error(), request_id)
    answer_of = predictor.explain if explain else predictor.answer
    begun = time.perf_counter()
    results: list[tuple[int, bytes, Outcome]] = []
    for photo in request.photos:
        late = bool(results) and time.perf_counter() - begun > TIME_LIMIT
        results.append(_answer_photo(answer_of, _too_late() if late else photo, request_id))
    outcomes = tuple(outcome for _, _, outcome in results)
    if request.several:
        bodies = b", ".join(body for _, body, _ in results)
        return Reply(200, JSON_MEDIA_TYPE, b'{"answers": [' + bodies + b"]}", outcomes)
    status, body, _ = results[0]
    media_type = JSON_MEDIA_TYPE if status == 200 else PROBLEM_MEDIA_TYPE
    return Reply(status, media_type, body, outcomes)


def _too_late() -> RequestError:
    return RequestError(
        "time_limit",
        f"The photos before this one took the {TIME_LIMIT:g} s that a request has.",
        "Send it again, with fewer or smaller photos in one request.",
        status=422,
    )


def refusal(error: PM25Error, request_id: str | None) -> Reply:
    """The reply to a request as a whole that cannot be answered."""
    body = _encode(problem(error, request_id))
    return Reply(error.status, PROBLEM_MEDIA_TYPE, body, (Outcome(error.code, error.status),))


def description(predictor: Predictor) -> Reply:
    """The reply to TorchServe's `GET /models/pm25?customized=true`: which model this is."""
    manifest = predictor.manifest
    content = {
        "model_version": manifest.version,
        "dataset_hash": manifest.dataset_hash,
        "feature_set": manifest.feature_set,
    }
    return Reply(200, JSON_MEDIA_TYPE, _encode(content), ())


def _answer_photo(
    answer_of: Callable[..., dict[str, object]],
    photo: PhotoRequest | PM25Error,
    request_id: str | None,
) -> tuple[int, bytes, Outcome]:
    """Status, answer or problem in JSON, and outcome of one photo."""
    start = time.perf_counter()
    trace = Trace()
    try:
        if isinstance(photo, PM25Error):
            raise photo
        answer = answer_of(photo.data, photo.metadata, include=photo.include, trace=trace)
        seconds = time.perf_counter() - start
        own = {"processing_time": round(seconds, 4), "request_id": request_id}
        return 200, _encode({**answer, **own}), Outcome(ANSWERED, 200, answer, seconds, trace)
    except PM25Error as error:
        refused = error
    except Exception as error:
        _log_where(error, request_id)
        refused = internal_error()
    body = _encode(problem(refused, request_id))
    return refused.status, body, Outcome(refused.code, refused.status)


def _encode(content: Mapping[str, object]) -> bytes:
    """JSON as the standard has it: no NaN, no infinity (ValueError)."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False).encode()


def _log_where(error: Exception, request_id: str | None) -> None:
    """Log the kind and the place of an error, never its message: that may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)
    way = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    _LOG.error("internal_error request_id=%s %s at %s", request_id, type(error).__name__, way)
