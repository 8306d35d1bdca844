"""Starts the jobs service: ``python -m jobs_service --settings FILE``."""

import argparse
import os
import sys

import uvloop

from jobs_service import app
from settings import SettingsError, load_settings


def main() -> int:
    """Run until stopped; 1 when the settings can't be used."""
    parser = argparse.ArgumentParser(prog="python -m jobs_service", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: what TANDEM_SETTINGS holds")
    try:
        settings = load_settings(parser.parse_args().settings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    status = 0
    try:
        uvloop.run(app.run(settings))
    except* OSError as problems:  # the port is held, for instance
        sys.stderr.write(f"{problems.exceptions[0]}\n")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
