"""What a real server counts is what it was sent; and no client can add a series."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import Any

from handlers.metrics import INFINITY, METRICS, STAGE_TIMES
from handlers.trace import EXPLANATION, STAGES
from lifecycle.torchserve import Server
from tests.prometheus import Series, series_of, value, wait_for
from tests.serving import JPEG, JSON, METADATA, Client, as_text

OWN = "pm25_photos_total"


def totals(series: list[Series], name: str, label: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in series:
        if one.name == name:
            found[one.labels[label]] += int(one.value)
    return found


def send(client: Client, photo: bytes) -> tuple[Counter[str], Counter[str], list[dict[str, Any]]]:
    """Good and bad requests; what became of their photos, for what reasons, and the answers."""
    hostile = 'x",version="9\n} 1 # {'
    bodies = [
        *(({"photo": as_text(photo), "metadata": {"camera": f"cam-{i}"}}) for i in range(3)),
        {"photo": as_text(photo), "metadata": {"camera": hostile}},
        {"photo": as_text(photo), "metadata": {hostile: 1}},
        {"photo": as_text(photo), "metadata": {**METADATA, "temperature_c": 1e9}},
        {"photos": [{"photo": as_text(photo)}, {"photo": "!"}, {"photo": as_text(b"text")}]},
        {hostile: hostile},
    ]
    replies = [client.send(photo, {**JPEG, "X-Version": "9"})]
    replies += [client.send(json.dumps(body).encode(), JSON) for body in bodies]
    replies.append(client.send(photo, JPEG, "/explanations/pm25"))
    contents = [one for _, _, content in replies for one in content.get("answers", [content])]
    answers = [content for content in contents if "pm25_estimate" in content]
    refused = Counter(content["code"] for content in contents if "code" in content)
    outcomes = Counter(answered=len(answers), refused=refused.total())
    return outcomes, refused, answers


def test_counts_are_what_was_sent(server: Server, client: Client, photo: bytes) -> None:
    client.send(photo, JPEG)
    settled = value(server, OWN)
    wait_for(lambda: value(server, OWN), settled + 1, patience=3)
    before = series_of(server)
    outcomes, reasons, answers = send(client, photo)
    expected = sum(one.value for one in before if one.name == OWN) + outcomes.total()
    assert wait_for(lambda: value(server, OWN), expected) == expected
    after = series_of(server)
    grown = totals(after, OWN, "outcome")
    grown.subtract(totals(before, OWN, "outcome"))
    assert {**grown} == {**outcomes, "failed": 0}
    refused = totals(after, "pm25_refusals_total", "reason")
    refused.subtract(totals(before, "pm25_refusals_total", "reason"))
    assert +refused == reasons
    assert {"unknown_field", "out_of_range", "invalid_camera", "missing_photo"} <= set(reasons)

    def added(name: str) -> float:
        return sum(s.value for s in after if s.name == name) - sum(
            s.value for s in before if s.name == name
        )

    for field in ("estimate", "uncertainty"):
        name = "pm25_estimate" if field == "estimate" else "uncertainty"
        expected_sum = sum(answer[name] for answer in answers)
        assert abs(added(f"pm25_{field}_sum_total") - expected_sum) < 1e-6 * expected_sum


def test_buckets_are_cumulative_and_complete(server: Server, client: Client, photo: bytes) -> None:
    client.send(photo, JPEG)
    wait_for(lambda: value(server, OWN, outcome="answered"), 1)
    series = series_of(server)
    rows: defaultdict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for one in series:
        if "le" in one.labels and one.labels["version"] == "0.0.1":
            rows[one.name, one.labels.get("stage", "")][float(one.labels["le"])] = one.value
    assert {stage for name, stage in rows if name == STAGE_TIMES.name} == set(STAGE_TIMES.values)
    bounds = {metric.name: [*metric.bounds, float(INFINITY)] for metric in METRICS}
    answered = value(server, OWN, outcome="answered", version="0.0.1")
    assert answered >= 1
    for (name, stage), row in rows.items():
        assert sorted(row) == bounds[name]
        counts = [row[bound] for bound in sorted(row)]
        assert counts == sorted(counts)
        assert counts[-1] <= answered if stage == EXPLANATION else counts[-1] == answered
    parts = [value(server, "pm25_stage_seconds_total", stage=s) for s in STAGES]
    total = value(server, "pm25_stage_seconds_total", stage="total")
    assert min(parts) > 0
    assert 0.8 * total < sum(parts) < total


def test_no_client_can_add_a_series(server: Server, client: Client, photo: bytes) -> None:
    """A label's values are ours; otherwise anybody could fill Prometheus' memory."""
    outcomes, _, _ = send(client, photo)
    wait_for(lambda: value(server, OWN), outcomes.total())
    known, photos = len(series_of(server)), value(server, OWN)
    for number in range(20):
        body = {"photo": as_text(b"no photo"), "metadata": {"camera": f"camera-{number}"}}
        client.send(json.dumps(body).encode(), {**JSON, "X-Request-Id": f"r-{number}"})
    wait_for(lambda: value(server, OWN), photos + 20)
    series = series_of(server)
    assert len(series) <= known + 1  # one reason may be new: none of the above
    declared = {metric.name: metric for metric in METRICS}
    for one in series:
        metric = declared[one.name]
        assert one.labels.keys() == {*metric.label_names, "Hostname"}
        if metric.values:
            assert one.labels[metric.label] in metric.values
        elif metric.label:
            assert re.fullmatch("[a-z0-9_]{3,32}", one.labels[metric.label])
        assert one.labels["version"] in {"0.0.1", "0.0.3"}
        assert "cam-" not in str(one.labels) and "camera-" not in str(one.labels)
