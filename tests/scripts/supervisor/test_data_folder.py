"""A data folder that can't be used is told in one line, before anything is started."""

from pathlib import Path

import pytest

from scripts.supervisor.database import EmbeddedDatabase
from scripts.supervisor.mongod import MongodUnavailable
from scripts.supervisor.options import parse
from scripts.supervisor.output import Output


def test_an_empty_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--data", ""])
    assert "the name of a folder is missing" in capsys.readouterr().err


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MongodUnavailable, match=r"file/data: Not a directory; see --data"):
        await EmbeddedDatabase(tmp_path / "file" / "data", {}, Output()).open()
