from pathlib import Path

import pytest

from scripts.supervisor import options
from tests.support.paths import ROOT


def test_defaults() -> None:
    assert options.parse([]) == options.Options(8000, 8010, ROOT / ".tandem", None, True)


def test_everything_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = options.parse(
        ["--port", "1", "--jobs-port", "2", "--data", "d", "--mongo-url", "u", "--no-seed"]
    )
    assert asked == options.Options(1, 2, tmp_path / "d", "u", False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "0"], "0 is no port"),
        (["--port", "x"], "invalid"),
        (["--port", "70000"], "70000 is no port"),
        (["--port", "8010"], "must differ"),
        (["--prot", "1"], "unrecognized"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)
    assert complaint in capsys.readouterr().err
