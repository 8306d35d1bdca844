"""Pictures for screenshots: a valley that looks photographed, with a file's weight of grain."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]

# Sky above, sky at the horizon, sun, farthest hill, nearest hill.
_LIGHTS = {
    "dawn": ((86, 110, 168), (250, 190, 150), (255, 226, 180), (150, 136, 168), (34, 42, 62)),
    "noon": ((52, 120, 200), (190, 222, 240), (255, 252, 236), (134, 168, 190), (30, 74, 48)),
    "dusk": ((38, 34, 84), (240, 122, 92), (255, 190, 120), (120, 74, 110), (22, 18, 40)),
    "mist": ((150, 166, 178), (226, 228, 222), (246, 242, 230), (176, 188, 192), (58, 74, 72)),
}
_HILLS = 5


def landscape(width: int, height: int, light: str = "dawn", seed: int = 1) -> bytes:
    """A JPEG of hills behind hills under a sun; ``light`` is one of dawn, noon, dusk, mist."""
    random = np.random.default_rng(seed)
    high, low, sun, far, near = (np.array(c, np.float32) for c in _LIGHTS[light])
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    picture = _mix(high, low, np.broadcast_to(np.clip(down / 0.62, 0, 1) ** 1.3, (height, width)))
    picture = _sun(picture, sun, across, down, width / height, 0.25 + 0.5 * random.random())
    for hill in range(_HILLS):
        depth = hill / (_HILLS - 1)
        ridge = 0.5 + 0.42 * depth**1.4 + _ridge(random, across[0], 0.075 - 0.03 * depth)
        body = np.clip((down - ridge[None, :]) * height, 0, 1)  # a soft edge, one pixel wide
        haze = np.clip((down - ridge[None, :]) / 0.3, 0, 1)
        slope = _mix(_blend(far, near, depth), _blend(far, low, 0.35), haze * (1 - depth) * 0.8)
        picture = picture * (1 - body[..., None]) + slope * body[..., None]
    grain = random.normal(0, 3.5, (height, width, 1)).astype(np.float32)
    data = np.clip(picture + grain, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(data).save(out, "JPEG", quality=92)
    return out.getvalue()


def _ridge(random: np.random.Generator, across: Pixels, size: float) -> Pixels:
    """Heights along the picture: waves of ever smaller length and size."""
    heights = np.zeros_like(across)
    for octave in range(8):
        phase = random.random() * 2 * np.pi
        heights += size * 0.55**octave * np.sin(across * 2 * np.pi * 1.1 * 2**octave + phase)
    return heights


def _sun(
    picture: Pixels, colour: Pixels, across: Pixels, down: Pixels, ratio: float, place: float
) -> Pixels:
    away = np.sqrt(((across - place) * ratio) ** 2 + (down - 0.36) ** 2)
    glow = 0.55 * np.exp(-((away / 0.22) ** 2)) + np.clip((0.062 - away) / 0.004, 0, 1)
    return _mix(picture, colour, np.clip(glow, 0, 1).astype(np.float32))


def _mix(first: Pixels, second: Pixels, share: Pixels) -> Pixels:
    return (first * (1 - share[..., None]) + second * share[..., None]).astype(np.float32)


def _blend(first: Pixels, second: Pixels, share: float) -> Pixels:
    return (first * (1 - share) + second * share).astype(np.float32)
