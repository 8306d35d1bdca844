"""libvips, set up for one child of the pool that is handed bytes by strangers."""

import functools
from typing import Final

import pyvips

# Every other loader is blocked, also those that a later libvips may bring. (In this wheel
# those are CSV, matrix, raw, .v, SVG and UltraHDR, whose files the JPEG loader reads too.)
_LOADERS: Final = ("Jpeg", "Png", "Webp", "Heif", "Nsgif", "Tiff")


@functools.cache
def prepare() -> None:
    """Block untrusted loaders, and set one thread and no cache; cheap when called again.

    Called in the child before its first picture, not at import: importing pyvips before a
    fork is safe, but after one libvips *operation* in the zygote every child hangs, for
    libvips' thread pool does not survive the fork. So nothing of libvips is touched there.

    Raises:
        RuntimeError: libvips is older than 8.18.1 (CVE-2026-33327).
    """
    if not pyvips.at_least_libvips(8, 18) or (pyvips.version(1), pyvips.version(2)) == (18, 0):
        raise RuntimeError("libvips 8.18.1 or newer is needed")
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{loader}", False)
    # Children are the parallelism here: on 2 cores, 2 children of one thread beat any other mix.
    pyvips.concurrency_set(1)
    # No picture is seen twice by one child, so a cache of operations only holds memory.
    pyvips.cache_set_max(0)
