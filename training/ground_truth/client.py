"""Asking a source over HTTP, politely and with an end to it.

A request is tried 5 times at most: time-outs, broken connections, 408, 425, 429, 5xx and bodies
that are no JSON are tried again after a wait that doubles, with jitter, or after what the source
asked for. Other refusals are final. A source that has failed twice in a row is left alone for five
minutes, so that a walk over fifty sensors does not wait fifty times.

A key goes into a header and nowhere else: it is cut out of whatever a source repeats.
"""

from __future__ import annotations

import json
import math
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn, Self

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from training.ground_truth.clock import Clock
from training.ground_truth.measurement import GroundTruthError
from training.ground_truth.rate_limit import RateLimit, seconds_to_wait

ATTEMPTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0  # [s]
TRANSFER_TIMEOUT = 60.0  # [s] for a whole body: a source that drips never times out otherwise
FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0  # [s] between attempts
FAILURES_TO_REST, REST = 2, 300.0  # after so many failed requests in a row, so long a rest [s]
MAX_BYTES = 512 * 1024**2  # SIATA's history is large; nothing else comes near
_AGAIN = (408, 425, 429)
_SHOWN = 200


class _PassingError(Exception):
    """A failure that may be over at the next attempt. `wait`: what the source asked for [s]."""

    def __init__(self, detail: str, *, wait: float | None = None, code: str = "no_answer") -> None:
        super().__init__(detail)
        self.wait, self.code = wait, code


@cache
def certificates() -> ssl.SSLContext:
    """The authorities we trust, read once: 40 ms, which a round of collecting need not spend."""
    return httpx2.create_ssl_context()


def key_from_environment(variable: str, source: str, where: str) -> str:
    """The key in the environment variable; keys stand nowhere else. Raises key_missing."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise GroundTruthError(
            "key_missing",
            f"{source} answers to a key only, and {variable} is empty.",
            f"Get a key {where} and set it: export {variable}=…",
        )
    return key


class SourceClient:
    """Asks one source for JSON.

    name             as people know it, for messages
    base_url         where its paths begin; https, or anything on this machine
    key              (header, value), or None
    limits           what the source allows
    cache_seconds    for so long the same question gets the same answer without being asked [s]
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        key: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Sequence[RateLimit] = (),
        cache_seconds: float = 0.0,
        clock: Clock | None = None,
        read_timeout: float = READ_TIMEOUT,
        transfer_timeout: float = TRANSFER_TIMEOUT,
    ) -> None:
        self.name = name
        self.clock = clock or Clock()
        self._check_address(base_url, has_key=key is not None)
        self._secret = key[1] if key else ""
        self._limits = limits
        self._cache_seconds = cache_seconds
        self._cache: dict[tuple[str, str], tuple[float, Any]] = {}
        self._transfer_timeout = transfer_timeout
        self._failures = 0
        self._rests_until = self._not_before = -math.inf  # on the monotonic clock
        # Redirects are not followed: the key would go along to another host.
        self._http = httpx2.Client(
            base_url=base_url,
            headers={**(headers or {}), **(dict([key]) if key else {})},
            timeout=httpx2.Timeout(read_timeout, connect=CONNECT_TIMEOUT),
            verify=certificates(),
        )

    def get_json(self, path: str, params: Mapping[str, str | int | float] | None = None) -> Any:
        """What the source answers; NaN and Infinity, which are no JSON, read as null.

        Raises GroundTruthError: key_refused, points_exhausted, not_found, refused, moved,
        asked_to_wait, no_answer, no_json, resting.
        """
        question = (path, json.dumps(params, sort_keys=True))
        asked_at, answer = self._cache.get(question, (-self._cache_seconds - 1, None))
        if self.clock.monotonic() - asked_at <= self._cache_seconds:
            return answer
        if self.clock.monotonic() < self._rests_until:
            self._fail("resting", path, "has failed repeatedly and is left alone for 5 minutes")
        try:
            answer = Retrying(
                stop=stop_after_attempt(ATTEMPTS),
                retry=retry_if_exception_type(_PassingError),
                wait=self._wait,
                sleep=self.clock.sleep,
                reraise=True,
            )(self._ask, path, params)
        except _PassingError as error:
            self._failures += 1
            if self._failures >= FAILURES_TO_REST:
                self._rests_until = self.clock.monotonic() + REST
                self._failures = 0
            self._fail(error.code, path, f"{error} (tried {ATTEMPTS} times)")
        self._failures = 0
        if self._cache_seconds:
            self._cache[question] = (self.clock.monotonic(), answer)
        return answer

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_address(self, base_url: str, *, has_key: bool) -> None:
        url = httpx2.URL(base_url)
        here = url.host in ("127.0.0.1", "localhost", "::1")
        if url.scheme not in ("http", "https") or not url.host:
            self._fail("bad_address", base_url, "has no such address; it begins with https://")
        if has_key and url.scheme != "https" and not here:
            self._fail("bad_address", base_url, "would get its key unencrypted; use https://")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _PassingError) and error.wait is not None:
            return error.wait
        return wait_exponential_jitter(initial=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT)(
            state
        )

    def _ask(self, path: str, params: Mapping[str, str | int | float] | None) -> Any:
        ahead = self._not_before - self.clock.monotonic()
        if ahead > 0:
            self.clock.sleep(ahead)
        for limit in self._limits:
            limit.wait(self.clock)
        try:
            with self._http.stream("GET", path, params=params) as response:
                body = self._read(response)
        except httpx2.TimeoutException as error:
            raise _PassingError(f"timed out ({type(error).__name__})") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _PassingError(f"broke off: {self._without_secret(str(error))}") from None
        self._judge(response, body, path)
        try:
            return json.loads(body, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            page = body.lstrip()[:1] == b"<"
            what = "an HTML page" if page else f"{len(body):,} bytes"
            raise _PassingError(f"sent {what}, which is no JSON", code="no_json") from None

    def _read(self, response: httpx2.Response) -> bytes:
        """The body, within a time and a size that slow or endless ones run against."""
        chunks: list[bytes] = []
        size, ends_at = 0, time.monotonic() + self._transfer_timeout
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if time.monotonic() > ends_at:
                raise _PassingError(f"was still sending after {self._transfer_timeout:g} s")
            if size > MAX_BYTES:
                raise _PassingError(f"sent more than {MAX_BYTES:,} bytes")
        return b"".join(chunks)

    def _judge(self, response: httpx2.Response, body: bytes, path: str) -> None:
        """Return if the reply is a good one."""
        status = response.status_code
        wait = seconds_to_wait(response.headers, self.clock.now())
        if status in _AGAIN or status >= 500:
            if wait is not None and wait > LONGEST_WAIT:
                self._fail("asked_to_wait", path, f"asks for a pause of {wait:.0f} s ({status})")
            raise _PassingError(f"answered {status}", wait=wait)
        if status < 200 or 300 <= status < 400:
            target = response.headers.get("location", "nowhere")
            self._fail("moved", path, f"answered {status}: {self._without_secret(target)}")
        if status >= 400:
            code = {401: "key_refused", 402: "points_exhausted", 403: "key_refused"}.get(
                status, "not_found" if status == 404 else "refused"
            )
            said = " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
            self._fail(code, path, f"answered {status}: {self._without_secret(said)}")
        if response.headers.get("x-ratelimit-remaining") == "0" and wait:
            self._not_before = self.clock.monotonic() + min(wait, LONGEST_WAIT)

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "…") if self._secret else text

    def _fail(self, code: str, path: str, what: str) -> NoReturn:
        raise GroundTruthError(code, f"{self.name} ({path}) {what}.", _HOW_TO_FIX[code])


_HOW_TO_FIX = {
    "key_refused": "Check the key in the environment, that it may read, and that this network's "
    "address is not blocked.",
    "points_exhausted": "Buy points for the key, or ask for fewer sensors and shorter times.",
    "not_found": "Check the sensor's id and the address of the source.",
    "refused": "Check what is asked for: place, radius and times.",
    "moved": "The source has moved: check its address.",
    "asked_to_wait": "Ask again after that time; `pm25 collect` does so by itself.",
    "no_answer": "Check the network, and try again later.",
    "no_json": "The source may be under repair, or a proxy or firewall answers in its place: open "
    "the address in a browser.",
    "resting": "Wait five minutes; nothing is wrong with what was asked.",
    "bad_address": "Correct the address of the source.",
}


def payload_changed(source: str, what: str) -> GroundTruthError:
    """The error for a reply that is JSON, but not in the layout that the source documents."""
    return GroundTruthError(
        "payload_changed",
        f"{source} sent another layout than is known: {what}.",
        "The source has changed its format. Nothing was read; report it with this message.",
    )
