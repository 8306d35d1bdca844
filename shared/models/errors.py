"""What a store raises; errors of the database itself (``pymongo.errors``) pass through.

::

    ModelError
    ├── MalformedDocument      what the database holds does not have its type's shape
    ├── InvalidDocument        what was to be stored does not have its type's shape
    │   └── InvalidPayload     parameters or a result that can't be stored
    │       └── PayloadTooLarge
    ├── KeyTaken
    ├── FileTooLarge
    ├── FileExists
    ├── FileMissing
    ├── FileDamaged            a stored file lacks a part of its bytes
    ├── UsernameTaken
    └── InvalidOrders          a CSV file that can't be imported, and where it is wrong
"""


class ModelError(Exception):
    """Base of everything the stores raise themselves."""


class MalformedDocument(ModelError):
    """A stored document does not have the shape its type says.

    The message names the collection, the ``_id`` and the path, never the contents.
    """

    def __init__(self, collection: str, document_id: object, problem: str) -> None:
        super().__init__(f"{collection}: the document {document_id} is malformed: {problem}")
        self.collection = collection
        self.document_id = document_id
        self.problem = problem


class InvalidDocument(ModelError):
    """A document that was to be stored does not have the shape its type says."""


class InvalidPayload(InvalidDocument):
    """Parameters or a result hold something that can't be stored; says where and what."""


class PayloadTooLarge(InvalidPayload):
    """Parameters or a result are larger than a document may carry; use a file for them."""


class KeyTaken(ModelError):
    """Another unfinished job of this owner has the same key."""


class FileTooLarge(ModelError):
    """A file has more bytes than it may have; nothing of it was kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than {limit} bytes")
        self.limit = limit


class FileExists(ModelError):
    """A file was to be stored under an id that another file has; that one is unharmed."""


class FileMissing(ModelError):
    """There is no file with this id."""


class FileDamaged(ModelError):
    """A part of a stored file is missing: it was deleted meanwhile, or the disk lost it."""


class UsernameTaken(ModelError):
    """Another user has this name already; letter case makes no difference."""


class InvalidOrders(ModelError):
    """A CSV file of orders can't be imported; nothing of it was kept.

    ``line`` counts from 1, the header included. ``column`` is empty where the whole line
    is meant.
    """

    def __init__(self, line: int, column: str, problem: str) -> None:
        where = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{where}: {problem}")
        self.line = line
        self.column = column
        self.problem = problem
