"""Shows the settings in force, where each came from, and no secrets: ``python -m settings``."""

import argparse
import os
import sys

from settings.loader import SettingsError, load


def main() -> int:
    """Print one line per setting; 1 when they can't be used."""
    parser = argparse.ArgumentParser(prog="python -m settings", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="as given to the services")
    try:
        loaded = load(parser.parse_args().settings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(loaded.describe() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
