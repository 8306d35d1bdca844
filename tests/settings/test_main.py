import subprocess
import sys

from tests.support.paths import ROOT


def show(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "settings", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_shows_the_settings_in_force() -> None:
    done = show(
        {"MONGO_URL": "mongodb://ada:secret@h/"}, "--settings", "settings/settings-jobs.json"
    )
    assert done.returncode == 0, done.stderr
    assert "runJobs = true  (settings-jobs.json)" in done.stdout
    assert "secret" not in done.stdout


def test_says_what_is_wrong_with_them() -> None:
    done = show({"TANDEM_WEB__PROT": "1"})
    assert done.returncode == 1
    assert done.stderr == "TANDEM_WEB__PROT is not a setting; did you mean TANDEM_WEB__PORT?\n"
