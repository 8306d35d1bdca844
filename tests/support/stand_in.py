"""A service small enough for tests of the supervisor: answers /readyz, ends on SIGTERM.

Run as ``python stand_in.py SECTION``: it listens on the port that the settings' variable of
its section says, and tells what it was told. ``GET /stubborn`` makes it ignore SIGTERM, and
``STAND_IN_FAILS`` names a section whose stand-in ends at once.
"""

import http.server
import os
import signal
import sys

from typing_extensions import override


def main(section: str) -> None:
    """Serve until told to end."""
    if os.environ.get("STAND_IN_FAILS") == section:
        sys.exit("not today")
    signal.signal(signal.SIGTERM, lambda *_: end(section))
    port = int(os.environ[f"TANDEM_{section.upper()}__PORT"])
    server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    print(f"{section} pid {os.getpid()} uses {os.environ['MONGO_URL']}", flush=True)
    server.serve_forever()


def end(section: str) -> None:
    """Say so, and end."""
    os.write(1, f"{section} ends\n".encode())
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    """What a test can ask for."""

    def do_GET(self) -> None:
        if self.path == "/stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main(sys.argv[1])
