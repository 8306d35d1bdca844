"""What sessions send, where a test expects no bytes beside the texts."""

from collections.abc import Iterable


def only_texts(messages: Iterable[object]) -> list[bytes]:
    """The same messages, each of which must be a text."""
    texts = []
    for message in messages:
        assert isinstance(message, bytes), message
        texts.append(message)
    return texts
