"""Users in MongoDB, and the check of their passwords."""

from collections.abc import AsyncGenerator

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from shared.models.changes import Change, watch_as
from shared.models.database import Database
from shared.models.errors import UsernameTaken
from shared.models.passwords import Password, PasswordHashes
from shared.models.types import Document, from_document, now, to_document
from shared.models.users import CASE_INSENSITIVE, USERS, Role, User

_NOT_NEW = ({"$match": {"operationType": {"$ne": "insert"}}},)


class UserStore:
    """The ``users`` collection."""

    def __init__(self, database: Database, hashes: PasswordHashes | None = None) -> None:
        self._database = database
        self._users = database.collection(USERS.name)
        self._hashes = hashes or PasswordHashes()

    async def create(self, username: str, password: Password, role: Role = "user") -> User:
        """Add a user.

        Raises:
            UsernameTaken: there is one of this name, letter case aside.
            InvalidDocument: the name is empty or too long.
        """
        user = User(
            id=ObjectId(),
            username=username,
            role=role,
            password_hash=await self._hashes.hash(password),
            created_at=now(),
        )
        try:
            await self._users.insert_one(to_document(user))
        except DuplicateKeyError as error:
            raise UsernameTaken(f"there is a user {username!r} already") from error
        return user

    async def get(self, user_id: ObjectId) -> User | None:
        """The user with this id."""
        return _user(await self._users.find_one({"_id": user_id}))

    async def by_name(self, username: str) -> User | None:
        """The user of this name, letter case aside."""
        found = await self._users.find_one({"username": username}, collation=CASE_INSENSITIVE)
        return _user(found)

    async def check_password(self, username: str, password: Password) -> User | None:
        """The user of this name, if the password is theirs.

        Takes the same time for a user who does not exist as for a wrong password.
        """
        return await self.check(await self.by_name(username), password)

    async def check(self, user: User | None, password: Password) -> User | None:
        """The user, if there is one and the password is theirs; as slow if there is none."""
        right = await self._hashes.check(None if user is None else user.password_hash, password)
        if user is None or not right:
            return None
        if self._hashes.is_outdated(user.password_hash):
            await self._replace_hash(user, await self._hashes.hash(password))
        return user

    async def set_password(self, user_id: ObjectId, password: Password) -> None:
        """Give a user a new password; their sessions stay."""
        update = {"$set": {"passwordHash": await self._hashes.hash(password)}}
        await self._users.update_one({"_id": user_id}, update)

    def watch(self) -> AsyncGenerator[Change[User], None]:
        """Users who change or are deleted, for ever.

        The first is a ``resync``: what is read from then on misses nothing. It comes again
        when changes may have been missed.
        """
        return watch_as(self._database, USERS.name, _required_user, _NOT_NEW)

    async def _replace_hash(self, user: User, password_hash: str) -> None:
        # Only if the password has not been changed in the meantime.
        unchanged = {"_id": user.id, "passwordHash": user.password_hash}
        await self._users.update_one(unchanged, {"$set": {"passwordHash": password_hash}})


def _user(document: Document | None) -> User | None:
    return None if document is None else _required_user(document)


def _required_user(document: Document) -> User:
    return from_document(document, User, USERS.name)
