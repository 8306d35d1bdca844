"""Password hashes: argon2id over the SHA-256 that DDP's clients send instead of a password."""

import asyncio
import base64
import hashlib
import secrets
from typing import Annotated, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Meta

_AT_ONCE = 2


class PasswordDigest(msgspec.Struct, frozen=True):
    """A password as Meteor's clients send it (its accounts-password)."""

    digest: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
    algorithm: Literal["sha-256"] = "sha-256"


Password = str | PasswordDigest


class PasswordHashes:
    """Makes and checks hashes in threads, two at a time.

    Each takes about 20 ms of a core and 19 MiB of memory (OWASP's first choice), so a
    burst of logins waits in line instead of taking both from everything else.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._nobodys = _hash_of_nothing(self._hasher)

    async def hash(self, password: Password) -> str:
        """A new hash of the password, with a salt of its own."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _digest(password))

    async def check(self, password_hash: str | None, password: Password) -> bool:
        """Whether the hash is the password's; as slow when there is no hash."""
        async with self._turns:
            right = await asyncio.to_thread(
                self._verify, password_hash or self._nobodys, _digest(password)
            )
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than are used today."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, digest: str) -> bool:
        try:
            return self._hasher.verify(password_hash, digest)
        except (VerificationError, InvalidHashError):
            return False


def _digest(password: Password) -> str:
    if isinstance(password, PasswordDigest):
        return password.digest.lower()
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).hexdigest()


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash that no password has, but that takes as long to check as any other."""
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (_base64(secrets.token_bytes(n)) for n in (hasher.salt_len, hasher.hash_len))
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
