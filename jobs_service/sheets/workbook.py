"""Write a workbook, by the fastest writer that can do what its sheets ask for."""

from collections.abc import Sequence
from typing import BinaryIO

from jobs_service.sheets import rust_writer, xlsx_writer
from jobs_service.sheets.sheet import SHEET_ROWS, Sheet, split


def write_workbook(
    sheets: Sequence[Sheet], file: BinaryIO, *, sheet_rows: int = SHEET_ROWS
) -> None:
    """Write ``sheets`` to ``file`` (seekable), at most ``sheet_rows`` rows to each of the file's.

    rustpy-xlsxwriter takes a sixth of XlsxWriter's time and has all but Excel tables.

    Raises:
        ValueError: the sheets contradict themselves (see Part.rows and titles_of).
        Exception: whatever an iterable of rows raises; the file is then of no use.
    """
    writer = xlsx_writer if any(sheet.as_table for sheet in sheets) else rust_writer
    writer.write(split(sheets, sheet_rows), file)
