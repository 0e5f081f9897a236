"""Pictures that show no landscape: a page, a room, a wall, a covered lens, a telephone's screen.

Drawn, each by a seed of its own. Nothing here reads `features/`, so that no error there can hide
itself. Pictures are (H, W, 3) uint8, sRGB in RGB order.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[float, float, float]
Plane = NDArray[np.float64]

WIDTH, HEIGHT = 1280, 960
_WORDS = ("PM2.5", "haze", "city", "valley", "morning", "report", "station", "sensor", "measured")


def with_grain(picture: NDArray[np.float64], rng: np.random.Generator, sd: float = 2.5) -> Picture:
    """A lens and a sensor on top of a drawing: a soft pixel, and noise of `sd` [sRGB codes]."""
    soft = cv2.GaussianBlur(picture, (0, 0), 0.8)
    return np.asarray(np.rint(soft + rng.normal(0, sd, soft.shape)).clip(0, 255), dtype=np.uint8)


def _shading(rng: np.random.Generator, strength: float) -> Plane:
    """(H, W, 1) light that falls off slowly across the picture, around 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x / WIDTH - 0.5) + np.sin(angle) * (y / HEIGHT - 0.5)
    return np.asarray(1 + strength * ramp[:, :, np.newaxis])


def document(rng: np.random.Generator) -> Picture:
    """A printed page, photographed from above: lines of text on paper, lit from one side."""
    page = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
    page[:] = rng.uniform(205, 240) * (1 + rng.uniform(-0.03, 0.03, 3))
    scale = rng.uniform(0.6, 1.2)
    for y in range(80, HEIGHT - 60, int(45 * scale)):
        words = " ".join(rng.choice(_WORDS, 14))
        cv2.putText(page, words, (70, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 45), 2)
    page[:, WIDTH - 60 :] = page[0, 0]
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], dtype=np.float32)
    moved = corners + rng.uniform(-90, 90, (4, 2)).astype(np.float32)
    desk = tuple(rng.uniform(60, 140, 3).tolist())
    view = cv2.warpPerspective(
        page,
        cv2.getPerspectiveTransform(corners, moved),
        (WIDTH, HEIGHT),
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=desk,
    )
    return with_grain(view * _shading(rng, rng.uniform(0.1, 0.4)), rng)


def blank_wall(rng: np.random.Generator) -> Picture:
    """A plastered wall: one colour, uneven light, a faint coarse texture."""
    colour = rng.uniform(110, 225) * (1 + rng.uniform(-0.08, 0.08, 3))
    wall = np.broadcast_to(colour, (HEIGHT, WIDTH, 3)) * _shading(rng, rng.uniform(0.05, 0.5))
    relief = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), rng.uniform(1.5, 4))
    relief *= rng.uniform(1, 5) / relief.std()
    return with_grain(wall + relief[:, :, np.newaxis], rng)


def covered_lens(rng: np.random.Generator) -> Picture:
    """The inside of a pocket: black, and the noise of the sensor."""
    return with_grain(np.full((HEIGHT, WIDTH, 3), rng.uniform(1, 10)), rng, sd=2.0)


def room(rng: np.random.Generator) -> Picture:
    """A furnished room in perspective under a lamp; one in two has a window."""
    picture = np.zeros((HEIGHT, WIDTH, 3))
    left, right = rng.uniform(0.2, 0.35) * WIDTH, rng.uniform(0.65, 0.8) * WIDTH
    top, bottom = rng.uniform(0.15, 0.3) * HEIGHT, rng.uniform(0.6, 0.75) * HEIGHT
    wall = rng.uniform(120, 215) * (1 + rng.uniform(-0.1, 0.1, 3))
    floor = rng.uniform(60, 150) * np.array([1.15, 0.95, 0.75])
    back = [(left, top), (right, top), (right, bottom), (left, bottom)]
    outer = [(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)]
    for side, (first, colour) in enumerate(
        ((0, 1.1 * wall), (1, 0.85 * wall), (2, floor), (3, 0.75 * wall))
    ):
        second = (side + 1) % 4
        _fill(picture, [outer[first], outer[second], back[second], back[first]], colour)
    _fill(picture, back, wall)
    for plank in np.linspace(0, WIDTH, 14):
        ends = (round(plank), HEIGHT), (round(left + (right - left) * plank / WIDTH), round(bottom))
        cv2.line(picture, *ends, (0.8 * floor).tolist(), 3)
    if rng.random() < 0.5:
        x, y = rng.uniform(left, 0.6 * right), rng.uniform(1.05, 1.3) * top
        _block(picture, (x, y), (0.18 * WIDTH, 0.2 * HEIGHT), np.array([235, 240, 245.0]))
    for _ in range(rng.integers(2, 6)):  # pictures on the walls
        x, y = rng.uniform(0.02, 0.9) * WIDTH, rng.uniform(0.25, 0.5) * HEIGHT
        _block(picture, (x, y), rng.uniform(50, 150, 2), rng.uniform(30, 220, 3))
    for _ in range(rng.integers(4, 10)):  # furniture, nearer things lower
        y = rng.uniform(0.5, 0.85) * HEIGHT
        size = rng.uniform(0.08, 0.3) * WIDTH * y / HEIGHT, rng.uniform(0.1, 0.35) * HEIGHT
        colour = rng.uniform(25, 170) * (1 + rng.uniform(-0.25, 0.25, 3))
        _block(picture, (rng.uniform(-0.05, 0.9) * WIDTH, y), size, colour)
        for _ in range(6):  # what lies on it
            corner = rng.uniform(0, WIDTH), y - rng.uniform(0, 40)
            _block(picture, corner, rng.uniform(8, 40, 2), rng.uniform(20, 230, 3))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    lamp = rng.uniform(0.3, 0.7) * WIDTH, rng.uniform(-0.1, 0.3) * HEIGHT
    far = np.hypot(x - lamp[0], y - lamp[1]) / WIDTH
    light = 1.15 / (1 + rng.uniform(0.8, 2.5) * far**2)
    tungsten = np.array([1.0, rng.uniform(0.8, 0.97), rng.uniform(0.5, 0.9)])
    return with_grain(picture * light[:, :, np.newaxis] * tungsten, rng, sd=4.0)


def _fill(picture: Plane, corners: list[tuple[float, float]], colour: Plane) -> None:
    cv2.fillPoly(picture, [np.rint(corners).astype(np.int32)], colour.tolist())


def _block(
    picture: Plane,
    corner: tuple[float, float],
    size: NDArray[np.float64] | tuple[float, float],
    colour: Plane,
) -> None:
    """A box with a lighter top and a darker edge."""
    (x, y), (w, h) = map(round, corner), map(round, size)
    cv2.rectangle(picture, (x, y), (x + w, y + h), colour.tolist(), -1)
    cv2.rectangle(picture, (x, y), (x + w, y + max(h // 8, 2)), (1.2 * colour).tolist(), -1)
    cv2.rectangle(picture, (x, y), (x + w, y + h), (0.6 * colour).tolist(), 3)


def telephone_screen(photo: Picture, rng: np.random.Generator) -> Picture:
    """A screenshot of `photo` in an app: bars with text above and below, on one background."""
    dark = rng.random() < 0.5
    paper, ink = ((18, 18, 18), (235, 235, 235)) if dark else ((250, 250, 250), (30, 30, 30))
    width = 1080
    height = round(width * photo.shape[0] / photo.shape[1])
    above, below = int(rng.integers(150, 320)), int(rng.integers(150, 420))
    screen = np.empty((above + height + below, width, 3), dtype=np.uint8)
    screen[:] = paper
    screen[above : above + height] = cv2.resize(photo, (width, height))
    put = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(screen, "10:24", (40, 50), put, 1.2, ink, 2)
    cv2.putText(screen, "100%", (930, 50), put, 1.0, ink, 2)
    cv2.putText(screen, "Gallery", (40, above - 30), put, 1.4, ink, 3)
    line = above + height + 70
    while line < len(screen) - 20:
        cv2.putText(screen, " ".join(rng.choice(_WORDS, 7)), (40, line), put, 1.0, ink, 2)
        line += 60
    return screen
