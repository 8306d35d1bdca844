"""Photographs for tests: structure and noise as a camera's, never flat colour."""

import io

import numpy as np
from PIL import Image

ORIENTATION_TAG = 0x0112


def photo(
    width: int, height: int, *, orientation: int = 1, quality: int = 90, seed: int = 1
) -> bytes:
    """A JPEG of ``width`` x ``height`` stored pixels whose *stored* corners are known.

    Upper left is red, upper right green, lower left blue, lower right yellow; in between
    smooth gradients, edges and noise.
    """
    random = np.random.default_rng(seed)
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    corners = np.array(
        [[[220, 30, 30], [30, 200, 40]], [[30, 40, 210], [230, 220, 40]]], np.float32
    )
    pixels = (
        corners[0, 0] * (1 - across) * (1 - down)
        + corners[0, 1] * across * (1 - down)
        + corners[1, 0] * (1 - across) * down
        + corners[1, 1] * across * down
    )
    waves = 12 * np.sin(across * 90) * np.cos(down * 70)
    edges = 20 * ((np.floor(across * 24) + np.floor(down * 18)) % 2)
    noise = random.integers(-10, 11, (height, width, 1), dtype=np.int8)
    data = np.clip(pixels + waves + edges + noise, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    out = io.BytesIO()
    Image.fromarray(data).save(out, "JPEG", quality=quality, exif=exif)
    return out.getvalue()
