"""Requests gone wrong, through the handler and a real server: 4xx or an answer, and nothing else.

A short draw of what `make fuzz` draws for long; the seeds are fixed.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from benchmarks import fuzzing
from benchmarks.findings import Findings, fault
from benchmarks.fuzzing import Replies
from benchmarks.mutants import Mutant, drawn_mutants, mutant, valid_photos
from handlers import pm25_handler
from handlers.account import Account
from handlers.predictor import Predictor
from handlers.tally import Tally
from lifecycle.torchserve import Server
from tests.serving import Client
from tests.torchserve_context import Context

COUNT = fuzzing.BLOCK


@pytest.fixture(scope="module")
def in_the_handler(predictor: Predictor) -> Iterator[Replies]:
    """The archive's entry, with the models of the tests."""
    account = Account(Tally("0.0.1"), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pm25_handler, "_loaded", lambda *_: (predictor, account))
        yield fuzzing.through(pm25_handler.handle, Context)


@pytest.fixture(scope="module")
def over_http(server: Server) -> Iterator[Replies]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:
        yield fuzzing.over_http(line)


def memory() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def test_valid_photos_are_answered(in_the_handler: Replies) -> None:
    for data in valid_photos():
        made = Mutant("valid", "image/jpeg", data, {"body": data})
        status, media_type, body = in_the_handler(made)
        assert status == 200, body
        assert fault(status, media_type, body) is None


def test_no_mutant_breaks_the_handler(in_the_handler: Replies) -> None:
    found = Findings(seed=11)
    fuzzing.fuzz(found, COUNT, in_the_handler, memory)
    assert found.passed, found.table()
    assert len(found.codes) > 8, found.codes
    assert {str(status) for status in (200, 400, 415, 422)} <= set(sum_of(found))


def test_no_mutant_breaks_the_server(
    over_http: Replies, server: Server, client: Client, photo: bytes
) -> None:
    before = fuzzing.workers(server, "0.0.1")
    found = Findings(seed=12)
    fuzzing.fuzz(found, COUNT, over_http, memory)
    assert found.passed, found.table()
    assert fuzzing.workers(server, "0.0.1") == before
    assert client.send(photo, {"Content-Type": "image/jpeg"})[0] == 200


def sum_of(found: Findings) -> Counter[str]:
    return sum(found.statuses.values(), Counter())


# ---- the judge


def test_a_number_names_the_same_mutant_again() -> None:
    assert [mutant(5, n) for n in range(40)] == [mutant(5, n) for n in range(40)]
    assert mutant(5, 1) != mutant(6, 1)
    assert drawn_mutants(5, 5) == drawn_mutants(5, 5)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ((500, "application/problem+json", b'{"code": "internal_error"}'), "internal_error"),
        ((200, "application/json", b'{"pm25_estimate": NaN}'), "NaN"),
        ((200, "application/json", b'{"pm25_estimate": 7}'), "Answer"),
        ((200, "text/plain", b"{}"), "text/plain"),
        ((422, "application/json", b"{}"), "application/json"),
        ((422, "application/problem+json", b"{}"), "Problem"),
        ((503, "text/html", b"<html>"), "503"),
    ],
)
def test_a_reply_that_breaks_the_contract_is_a_fault(
    reply: tuple[int, str, bytes], word: str
) -> None:
    assert word in str(fault(*reply))
    found = Findings(seed=1)
    found.note("it", Mutant("bits", "image/jpeg", b"", {}), reply)
    assert found.n_faults == 1 and not found.passed


def test_a_failed_photo_among_others_is_a_fault_too(in_the_handler: Replies) -> None:
    failing = {"type": "urn:pm25:problem:internal_error", "title": "Internal error", "status": 500}
    told = {"code": "internal_error", "detail": "d", "how_to_fix": "h", "request_id": "r"}
    body = json.dumps({"answers": [{**failing, **told}]}).encode()
    assert "internal_error" in str(fault(200, "application/json", body))


def test_refusing_everything_and_growing_are_no_pass() -> None:
    assert not Findings(seed=1, photos=100, answered=19).passed
    assert Findings(seed=1, photos=100, answered=20).passed
    flat, growing = [100.0] * 30, [100.0 + n for n in range(30)]
    assert Findings(seed=1, photos=1, answered=1, memory_mb=flat).passed
    assert not Findings(seed=1, photos=1, answered=1, memory_mb=growing).passed
    assert not Findings(seed=1, photos=1, answered=1, restarts=1).passed


def test_a_stopped_run_goes_on_with_the_next_block(in_the_handler: Replies) -> None:
    kept: list[dict[str, Any]] = []
    refuse: Callable[[Mutant], tuple[int, str, bytes]] = lambda made: in_the_handler(  # noqa: E731
        Mutant(made.kind, "image/jpeg", b"", {"body": b"x"})
    )
    found = Findings(seed=3)
    fuzzing.fuzz(
        found, 400, refuse, memory, seconds=0.001,
        after_block=lambda now: kept.append(json.loads(json.dumps(vars(now)))),
    )  # fmt: skip
    again = Findings.read(kept[-1])
    assert again == found and again.done == fuzzing.BLOCK
    fuzzing.fuzz(again, 400, refuse, memory)
    assert again.done == 400
