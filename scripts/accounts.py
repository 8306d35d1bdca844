"""Makes the demo accounts on an empty database, and tells what there is to tell about them."""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from settings import load_settings
from shared.models.database import Database, open_database
from shared.models.errors import UsernameTaken
from shared.models.prepare import prepare
from shared.models.user_store import UserStore
from shared.models.users import USERS, Role

ROOT = Path(__file__).resolve().parents[1]
ACCOUNTS: tuple[tuple[str, Role], ...] = (("demo", "user"), ("operator", "operator"))

# No vowels, so no words; nothing that looks like something else.
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


async def demo_accounts(database: Database, file: Path, environ: Mapping[str, str]) -> str:
    """Make the accounts if there are no users at all; returns lines to print.

    The password is ``TANDEM_DEMO_PASSWORD``, else random, and then kept in ``file``.
    """
    await prepare(database)
    users = UserStore(database)
    given = environ.get("TANDEM_DEMO_PASSWORD")
    if await database.collection(USERS.name).find_one({}, {"_id": 1}) is not None:
        return await _existing(users, file, given)
    made = []
    for username, role in ACCOUNTS:
        password = given or random_password()
        try:
            await users.create(username, password, role)
        except UsernameTaken:  # another start at the same time was faster
            return await _existing(users, file, given)
        made.append((username, role, password))
    if given:
        names = " and ".join(username for username, _, _ in made)
        return f"  Accounts   {names}, with the password in TANDEM_DEMO_PASSWORD"
    lines = [f"{username} / {password}  ({role})" for username, role, password in made]
    _keep(file, "\n".join(lines) + "\n")
    return _listed([*lines, f"kept in {file}"])


async def _existing(users: UserStore, file: Path, given: str | None) -> str:
    found = [name for name, _ in ACCOUNTS if await users.by_name(name) is not None]
    if not found:
        return "  Accounts   the ones in the database (no demo accounts)"
    names = " and ".join(found)
    if given and all([await users.check_password(name, given) for name in found]):
        return f"  Accounts   {names}, with the password in TANDEM_DEMO_PASSWORD"
    lines = [f"{names} exist already"]
    if given:
        lines.append("with other passwords than TANDEM_DEMO_PASSWORD, which is for new databases")
    if file.exists():
        lines.append(f"their passwords are in {file}")
    return _listed(lines)


def random_password() -> str:
    """Such as ``k7dm-2xqp-9hts``: 57 bits, easy to type."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))
    return "-".join(groups)


def _listed(lines: list[str]) -> str:
    return "\n".join(f"  {'Accounts' if n == 0 else '':<10} {line}" for n, line in enumerate(lines))


def _keep(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as kept:  # noqa: PTH123 - a descriptor, not a path
        kept.write(text)


async def main() -> None:
    """Do it for the database of the development settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="where to keep the passwords")
    file = parser.parse_args().file
    settings = load_settings(str(ROOT / "settings" / "settings-development.json"), os.environ)
    mongo = settings.mongo
    async with open_database(mongo.url, mongo.database, mongo.driver) as database:
        file.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.write(await demo_accounts(database, file, os.environ) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
