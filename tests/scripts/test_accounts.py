from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.accounts import demo_accounts, random_password
from shared.models.database import Database, open_database
from shared.models.user_store import UserStore


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    async with open_database(mongo_url, database_name) as database:
        yield database


async def test_an_empty_database_gets_accounts_with_passwords_in_a_file(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "demo-accounts.txt"
    told = await demo_accounts(database, file, {})
    assert file.stat().st_mode & 0o777 == 0o600
    users = UserStore(database)
    for line in file.read_text().splitlines():
        assert line in told
        username, _, password, role = line.split()
        user = await users.check_password(username, password)
        assert user is not None
        assert f"({user.role})" == role
    again = await demo_accounts(database, file, {})
    assert "exist already" in again
    assert str(file) in again


async def test_the_password_may_be_given(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "demo-accounts.txt"
    environ = {"TANDEM_DEMO_PASSWORD": "correct horse"}
    for _ in range(2):
        told = await demo_accounts(database, file, environ)
        assert "with the password in TANDEM_DEMO_PASSWORD" in told
        assert "correct horse" not in told
    assert not file.exists()
    for username in ("demo", "operator"):
        assert await UserStore(database).check_password(username, "correct horse")


async def test_a_password_given_too_late_is_said_to_be(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "demo-accounts.txt"
    await demo_accounts(database, file, {})
    told = await demo_accounts(database, file, {"TANDEM_DEMO_PASSWORD": "other"})
    assert "with other passwords than TANDEM_DEMO_PASSWORD" in told


async def test_a_database_with_users_is_left_alone(database: Database, tmp_path: Path) -> None:
    users = UserStore(database)
    await users.create("ada", "secret")
    told = await demo_accounts(database, tmp_path / "file", {})
    assert "no demo accounts" in told
    assert await users.by_name("demo") is None


def test_passwords_are_random_and_easy_to_type() -> None:
    made = {random_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 14 for password in made)
