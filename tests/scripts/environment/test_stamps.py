import subprocess
import sys
from pathlib import Path

from scripts.environment import stamps
from tests.support.paths import ROOT
from tests.support.script import Script


def test_a_stamp_is_current_until_something_changes(tmp_path: Path) -> None:
    lock, stamp = tmp_path / "lock", tmp_path / "stamp"
    lock.write_text("one")
    value = stamps.digest([lock], "3.11")
    assert not stamps.is_current(stamp, value)
    stamps.write(stamp, value)
    assert stamps.is_current(stamp, stamps.digest([lock], "3.11"))
    assert not stamps.is_current(stamp, stamps.digest([lock], "3.12"))
    lock.write_text("two")
    assert not stamps.is_current(stamp, stamps.digest([lock], "3.11"))


def test_a_moved_file_changes_the_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    assert stamps.digest([one]) != stamps.digest([two])


def test_a_second_set_up_waits_for_the_first(tmp_path: Path) -> None:
    code = (
        "import pathlib\n"
        "from scripts.environment.stamps import one_at_a_time\n"
        f"with one_at_a_time(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('it is mine', flush=True)\n"
    )
    with stamps.one_at_a_time(tmp_path):
        waiting = Script([sys.executable, "-c", code])
        with waiting:
            waiting.until("Waiting for another set-up")
            assert "it is mine" not in waiting.output
    again = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert again.stdout == b"it is mine\n"
