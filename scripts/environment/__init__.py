"""Makes a fresh clone ready: virtual environment, packages, the browser's part.

Runs on the system's Python before anything is installed, so it uses the standard library only.
"""
