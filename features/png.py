"""The chunks of a PNG file (ISO 15948), as far as a guard before the decoder needs them."""

from __future__ import annotations


def count_chunks(data: bytes, at_most: int) -> int:
    """Chunks of `data`, a PNG file, up to its end; counting ends beyond `at_most`."""
    chunks, position = 0, 8
    while chunks <= at_most and position < len(data):
        chunks += 1
        if data[position + 4 : position + 8] == b"IEND":
            break
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return chunks
