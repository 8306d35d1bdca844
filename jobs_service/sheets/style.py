"""What all workbooks look like, whichever writer makes them."""

from typing import Final

HEADER_BACKGROUND: Final = "#DDEBF7"
