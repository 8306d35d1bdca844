"""Workbooks for tests: written by either writer, read by openpyxl and LibreOffice."""

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from jobs_service.sheets import rust_writer, xlsx_writer
from jobs_service.sheets.columns import Column
from jobs_service.sheets.sheet import SHEET_ROWS, Sheet, split

WRITERS = {"rustpy": rust_writer, "XlsxWriter": xlsx_writer}

_AS_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"


def written(writer: str, sheets: Sequence[Sheet], sheet_rows: int = SHEET_ROWS) -> bytes:
    """The bytes of the workbook."""
    file = io.BytesIO()
    WRITERS[writer].write(split(sheets, sheet_rows), file)
    return file.getvalue()


def one_column(writer: str, column: Column, values: Iterable[Any]) -> list[Any]:
    """What openpyxl reads in the rows below the header."""
    rows = [[value] for value in values]
    book = opened(written(writer, [Sheet("Data", [column], rows)]))
    cells = [row[0].value for row in book["Data"].iter_rows(min_row=2)]
    return cells + [None] * (len(rows) - len(cells))


def opened(data: bytes, *, formulas: bool = False) -> Any:
    """The workbook by openpyxl: its values, or its formulas."""
    return openpyxl.load_workbook(io.BytesIO(data), data_only=not formulas)


def by_libreoffice(directory: Path, **books: bytes) -> dict[str, dict[str, list[list[str]]]]:
    """What LibreOffice shows: rows of texts by name of book and sheet.

    ``scripts/test`` installs LibreOffice; without it (and out of CI) the test is skipped.
    """
    soffice = shutil.which("soffice")
    if soffice is None:
        if os.environ.get("CI"):
            pytest.fail("LibreOffice is not installed")
        pytest.skip("LibreOffice is not installed")
    for name, data in books.items():
        (directory / f"{name}.xlsx").write_bytes(data)
    subprocess.run(
        [
            soffice,
            f"-env:UserInstallation={(directory / 'profile').as_uri()}",
            *("--headless", "--convert-to", _AS_CSV, "--outdir", str(directory)),
            *(str(directory / f"{name}.xlsx") for name in books),
        ],
        check=True,
        capture_output=True,
        timeout=100,
    )
    shown: dict[str, dict[str, list[list[str]]]] = {name: {} for name in books}
    for path in directory.glob("*.csv"):
        book, _, sheet = path.stem.partition("-")
        shown[book][sheet] = list(csv.reader(path.read_text().splitlines(keepends=True)))
    return shown
