"""A stored file as its owner sees it, the same over HTTP and DDP."""

from typing import Any

from shared.models.files import StoredFile


def file_view(file: StoredFile) -> dict[str, Any]:
    """The file's public fields in builtin types; its ``id`` is not among them."""
    return {
        "filename": file.filename,
        "contentType": file.content_type,
        "size": file.size,
        "createdAt": file.created_at,
        "expiresAt": file.expires_at,
    }
