"""Password hashes take a password, or the digest that DDP's clients make of it."""

import hashlib

import msgspec
import pytest
from argon2 import PasswordHasher

from shared.models.passwords import PasswordDigest, PasswordHashes

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
DIGEST = PasswordDigest(hashlib.sha256(b"s3cret \xc3\xa4").hexdigest())


@pytest.mark.parametrize("given", ["s3cret ä", DIGEST, PasswordDigest(DIGEST.digest.upper())])
@pytest.mark.parametrize("shown", ["s3cret ä", DIGEST])
async def test_both_forms_of_a_password_are_one(
    given: str | PasswordDigest, shown: str | PasswordDigest
) -> None:
    hashes = PasswordHashes(CHEAP)
    password_hash = await hashes.hash(given)

    assert password_hash.startswith("$argon2id$")
    assert await hashes.check(password_hash, shown)
    assert not await hashes.check(password_hash, "S3cret ä")


async def test_two_hashes_of_a_password_differ() -> None:
    hashes = PasswordHashes(CHEAP)
    assert await hashes.hash("x") != await hashes.hash("x")


@pytest.mark.parametrize("password_hash", [None, "", "no hash", "$argon2id$v=19$m=8,t=1,p=1$x$y"])
async def test_what_is_no_hash_is_nobodys(password_hash: str | None) -> None:
    assert not await PasswordHashes(CHEAP).check(password_hash, "x")


async def test_a_check_without_a_hash_does_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = PasswordHashes(CHEAP)
    real = await hashes.hash("x")
    verified = []
    verify = PasswordHasher.verify

    def seen(self: PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", seen)
    await hashes.check(None, "x")

    (nobodys,) = verified
    assert nobodys.split("$")[:4] == real.split("$")[:4]  # the same kind and costs
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in real.split("$")]


async def test_a_hash_of_other_costs_is_outdated() -> None:
    old = await PasswordHashes(CHEAP).hash("x")

    assert not PasswordHashes(CHEAP).is_outdated(old)
    assert PasswordHashes().is_outdated(old)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64])
def test_a_digest_is_sixty_four_hex_digits(digest: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"digest": digest, "algorithm": "sha-256"}, PasswordDigest)
