"""What can be wrong with a picture that somebody sent."""

ADVICE = "Send JPEG, PNG, WebP, AVIF, HEIC, GIF or TIFF."


class ImageError(Exception):
    """The picture can't be used; ``code`` is for programs, ``reason`` for its sender.

    Codes: ``empty-file``, ``bad-image``, ``unsupported-format``, ``truncated-image``,
    ``too-many-pixels``, ``too-many-frames``.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
