"""An error as a client reads it: RFC 9457, application/problem+json."""

from __future__ import annotations

from features.errors import PM25Error

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_TYPE = "urn:pm25:problem:"


def problem(error: PM25Error, request_id: str | None) -> dict[str, object]:
    """The problem that `error` is: what was got, what is allowed, and what to do."""
    return {
        "type": PROBLEM_TYPE + error.code,
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "how_to_fix": error.how_to_fix,
        "request_id": request_id,
    }


def internal_error() -> PM25Error:
    """What a client may know of an error that nobody foresaw: that it was not the photo."""
    return PM25Error(
        "internal_error",
        "The server failed while it read this photo.",
        "Try again. If it fails again, report the request_id: the server's log holds the cause.",
        status=500,
    )
