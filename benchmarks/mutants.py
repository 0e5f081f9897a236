"""Requests gone wrong: photos, metadata, JSON and forms, changed by chance, and all repeatable.

Mutant `number` of `seed` is the same at any time and on any machine, so a fault is named by two
numbers. What is changed by hand here is close to what clients send; what Hypothesis draws
(`drawn_mutants`) is not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from PIL import Image

from features.metadata import ALLOWED_FIELDS
from handlers.request import PHOTO_NAMES
from tests.serving import METADATA, scene

SIZE = (683, 512)  # width, height [px]: the smallest that is answered
RAW_TYPES = ("image/jpeg", "image/png", "application/octet-stream", "text/plain", "image/*", "")
BOUNDARY = "a-boundary-of-parts"
_HEAD = 700  # bytes of a file that say what the rest means
_ODD_VALUES: tuple[object, ...] = (
    *(None, True, "", " ", "nan", "1e400", "-0", "٣", "\ud800", "\0", "x" * 5000, "' OR 1=1 --"),
    *(float("nan"), float("inf"), -1e308, 10**400, 2**63, -1, 0, 90.0000001, 1e-320),
    *([], {}, [[[]]], {"a": {"b": [1]}}, [1] * 200, ["features"], ["features", {}], "features"),
    *("2026-02-30T10:00:00Z", "0000-00-00", "9999-12-31T23:59:59-23:59", "2026-03-20T10:00:00"),
    *("2026-03-20T10:00:00+99:00", "now", 1.7e9, "../../etc/passwd", "camera\r\nX: y", "é" * 70),
)
Numbers = np.random.Generator


@dataclass(frozen=True)
class Mutant:
    """One request.

    kind          how it was made
    content_type  its header; empty: none is sent
    body          as on the wire
    parts         as TorchServe hands them to the handler
    explain       asked of /explanations
    of_a_photo    a valid photo was changed, and nothing else
    """

    kind: str
    content_type: str
    body: bytes
    parts: Mapping[str, object]
    explain: bool = False
    of_a_photo: bool = False


def mutant(seed: int, number: int) -> Mutant:
    """The mutant of this `number`: of ten, five of photos, the others of what comes with them."""
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    return kind(rng)


def photo_list(photos: Sequence[bytes]) -> Mutant:
    """Several photos that nothing was done to."""
    return _json("list", {"photos": [{"photo": _text(photo)} for photo in photos]})


@cache
def valid_photos() -> tuple[bytes, ...]:
    """A rendered scene in the kinds of file that are answered, and with and without EXIF."""
    picture, other = (Image.fromarray(scene(pm25, *SIZE)) for pm25 in (40.0, 90.0))
    exif = Image.Exif()
    exif[0x0112], exif[0x0132], exif[0x010F] = 3, "2026:03:20 10:00:00", "A maker"
    return (
        _saved(picture, "JPEG", quality=75),
        _saved(picture, "JPEG", quality=80, exif=exif),
        _saved(other, "JPEG", quality=75, progressive=True),
        _saved(other.convert("L"), "JPEG", quality=75),
        _saved(picture, "WEBP", quality=75, method=0),
        _saved(other.quantize(64), "PNG", exif=exif),
    )


def drawn_mutants(seed: int, count: int) -> list[Mutant]:
    """`count` requests as Hypothesis draws them: any JSON, any parts, any bytes."""
    drawn: list[Mutant] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_any_json() | _any_form() | _any_bytes())
    def collect(made: Mutant) -> None:
        drawn.append(made)

    collect()
    return drawn


# ---- what is changed of a photo


def _photo(rng: Numbers) -> bytes:
    """One of the valid ones; JPEG more often than not, as in life."""
    photos = valid_photos()
    return photos[int(rng.integers(9)) % len(photos)]


def _mutated_photo(rng: Numbers) -> Mutant:
    change = _CHANGES[int(rng.integers(len(_CHANGES)))]
    data = change(_photo(rng), rng)
    content_type = str(rng.choice(RAW_TYPES[:4]))
    name = change.__name__.strip("_")
    return _raw(name, content_type, data, explain=rng.random() < 0.05, of_a_photo=True)


def _bits(data: bytes, rng: Numbers) -> bytes:
    """Up to 32 bits flipped anywhere, few more often than many."""
    changed = bytearray(data)
    for place in rng.integers(len(data) * 8, size=int(2 ** rng.uniform(0, 5))):
        changed[place // 8] ^= 1 << int(place % 8)
    return bytes(changed)


def _head(data: bytes, rng: Numbers) -> bytes:
    """A few bytes of what describes the rest."""
    changed = bytearray(data)
    for place in rng.integers(2, min(_HEAD, len(data)), size=int(rng.integers(1, 5))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def _truncated(data: bytes, rng: Numbers) -> bytes:
    """The beginning of it, or all but the last few bytes."""
    if rng.random() < 0.5:
        return data[: -int(rng.integers(1, 64))]
    return data[: int(rng.integers(len(data)))]


def _spliced(data: bytes, rng: Numbers) -> bytes:
    """The beginning of one and the end of another."""
    other = _photo(rng)
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(len(other))) :]


def _cut(data: bytes, rng: Numbers) -> bytes:
    """Without some bytes in the middle."""
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(2 ** rng.uniform(0, 12)) :]


def _repeated(data: bytes, rng: Numbers) -> bytes:
    """Some bytes twice; with luck at the end, where they do no harm."""
    start = int(rng.integers(len(data)))
    end = start + int(2 ** rng.uniform(0, 12))
    return data[:end] + data[start:end] + data[end:]


def _appended(data: bytes, rng: Numbers) -> bytes:
    """With something behind its end, as many a phone leaves there."""
    return data + rng.bytes(int(rng.integers(1, 2000)))


# ---- what is changed of that which comes with it


def _mutated_metadata(rng: Numbers) -> Mutant:
    """A valid photo in JSON or in a form, with one to three fields of its metadata made odd."""
    metadata: dict[str, object] = dict(METADATA)
    for _ in range(int(rng.integers(1, 4))):
        metadata[_field(rng)] = _ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))]
    if rng.random() < 0.3:
        metadata.pop(str(rng.choice(list(METADATA))), None)
    photo = _photo(rng)
    if rng.random() < 0.5:
        packed: object = metadata if rng.random() < 0.9 else json.dumps(metadata)
        return _json("metadata", {"photo": _text(photo), "metadata": packed})
    if rng.random() < 0.5:
        return _form("metadata", {"image": photo, "metadata": _dumped(metadata)})
    fields = {name: _as_field(value) for name, value in metadata.items()}
    return _form("metadata", {"image": photo, **fields})


def _mutated_json(rng: Numbers) -> Mutant:
    """The bytes of a valid JSON request, changed as a photo's are."""
    body = _dumped({"photo": _text(_photo(rng)), "metadata": METADATA})
    change = _CHANGES[int(rng.integers(len(_CHANGES)))]
    content_type = str(rng.choice(["application/json", "application/json; charset=utf-8"]))
    return _raw("json", content_type, change(body, rng))


def _mutated_list(rng: Numbers) -> Mutant:
    """Several photos, some of them changed, some none at all."""
    photos: list[object] = []
    for _ in range(int(rng.integers(0, 4))):
        data = _CHANGES[int(rng.integers(len(_CHANGES)))](_photo(rng), rng)
        odd = _ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))]
        entry: object = {"photo": _text(data), "metadata": METADATA}
        photos.append(odd if rng.random() < 0.3 else entry)
    return _json("several", {"photos": photos if rng.random() < 0.95 else photos[:1] * 33})


def _mutated_form(rng: Numbers) -> Mutant:
    """Parts of odd names and contents around a photo."""
    names = (*PHOTO_NAMES, "image_1", "image_2", "image_99", "image_1000", "metadata", "metadata_1")
    parts: dict[str, bytes] = {}
    for _ in range(int(rng.integers(1, 6))):
        name = str(rng.choice(names)) if rng.random() < 0.7 else _field(rng)
        odd = _ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))]
        parts[name] = _photo(rng) if rng.random() < 0.4 else _as_field(odd)
    return _form("form", parts)


def _field(rng: Numbers) -> str:
    others = ("return", "latitude", "", "__proto__", "pm25", "a" * 300)
    return str(rng.choice([*sorted(ALLOWED_FIELDS), *others]))


_CHANGES: tuple[Callable[[bytes, Numbers], bytes], ...] = (
    *(_bits, _head, _truncated, _spliced, _cut, _repeated, _appended),
)
_KINDS: tuple[Callable[[Numbers], Mutant], ...] = (
    *(_mutated_photo,) * 5,
    *(_mutated_metadata,) * 2,
    *(_mutated_json, _mutated_form, _mutated_list),
)


# ---- what Hypothesis draws


def _any_json() -> st.SearchStrategy[Mutant]:
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    name = st.sampled_from([*PHOTO_NAMES, "photos", "metadata", "return", *ALLOWED_FIELDS])
    photo = st.builds(lambda i: _text(valid_photos()[i]), st.integers(0, 5))
    value = st.recursive(
        leaf | photo,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(name | st.text(), inner, max_size=5)
        ),
        max_leaves=12,
    )
    whole = st.dictionaries(name, value, max_size=5) | value
    return whole.map(lambda content: _json("drawn", content))


def _any_form() -> st.SearchStrategy[Mutant]:
    names = st.sampled_from([*PHOTO_NAMES, "image_1", "metadata", "metadata_1", *ALLOWED_FIELDS])
    photo = st.integers(0, 5).map(lambda i: valid_photos()[i])
    contents = photo | st.binary(max_size=40) | st.text(max_size=20).map(_encoded)
    parts = st.dictionaries(names | st.from_regex(r"\A[\w-]{1,20}\Z"), contents, max_size=5)
    return parts.map(lambda made: _form("drawn", made))


def _any_bytes() -> st.SearchStrategy[Mutant]:
    heads = st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"{", b"GIF89a"]
    )
    return st.builds(
        lambda head, rest, kind: _raw("drawn", kind, head + rest),
        *(heads, st.binary(max_size=300), st.sampled_from([*RAW_TYPES, "application/json"])),
    )


# ---- as they are sent


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _dumped(content: object) -> bytes:
    """JSON with what JSON does not allow: NaN, infinity, half a surrogate pair."""
    return _encoded(json.dumps(content, ensure_ascii=False))


def _as_field(value: object) -> bytes:
    return _encoded(value) if isinstance(value, str) else _dumped(value)


def _raw(kind: str, content_type: str, body: bytes, **more: bool) -> Mutant:
    """TorchServe reads what is called JSON or text, and hands over bytes where it cannot."""
    value: object = body
    try:
        if content_type == "application/json":
            value = json.loads(body.decode())
        elif content_type.startswith("text"):
            value = body.decode()
    except (ValueError, RecursionError):
        pass
    return Mutant(kind, content_type, body, {"body": value}, **more)


def _json(kind: str, content: object) -> Mutant:
    return _raw(kind, "application/json", _dumped(content))


def _form(kind: str, parts: Mapping[str, bytes]) -> Mutant:
    lines = []
    for name, value in parts.items():
        file = f'; filename="{name}.jpg"' if len(value) > _HEAD else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        lines.append(head.encode() + value + b"\r\n")
    body = b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()
    return Mutant(kind, f"multipart/form-data; boundary={BOUNDARY}", body, dict(parts))
