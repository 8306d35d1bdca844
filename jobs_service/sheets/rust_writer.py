"""Write workbooks by rustpy-xlsxwriter: a million rows in seconds, in constant memory."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from rustpy_xlsxwriter import Format, write_worksheets

from jobs_service import memfd
from jobs_service.sheets.cached_totals import add_cached_totals
from jobs_service.sheets.columns import Cell
from jobs_service.sheets.sheet import Part
from jobs_service.sheets.style import HEADER_BACKGROUND

_HEADER_ROW: Final = {"row": 1, "col": 0}


def write(parts: Sequence[Part], file: BinaryIO) -> None:
    """Write ``parts`` to ``file``; see workbook.write_workbook."""
    if not any(part.has_totals for part in parts):
        _write(parts, file)
        return
    # rustpy writes a total as a formula without its value, so whoever doesn't calculate
    # (a preview, openpyxl) would show an empty cell. Hence a second pass, over packed bytes.
    fd = memfd.create("workbook")
    try:
        with open(fd, "w+b", closefd=False) as draft:
            _write(parts, draft)
            draft.seek(0)
            add_cached_totals(parts, draft, file)
    finally:
        os.close(fd)


def _write(parts: Sequence[Part], file: BinaryIO) -> None:
    bold = Format().set_bold().set_background_color(HEADER_BACKGROUND)
    totals = [part for part in parts if part.has_totals]
    write_worksheets(
        [(part.name, _records(part)) for part in parts],
        file,
        freeze_panes={part.name: _HEADER_ROW for part in parts},
        autofilter={part.name: True for part in parts},
        header_format={part.name: bold for part in parts},
        column_formats={part.name: _formats(part) for part in parts},
        column_widths={part.name: [c.width for c in part.sheet.columns] for part in parts},
        # The header's own style: cached_totals makes one of it for each number format.
        totals_row={part.name: {part.titles[i]: "sum" for i in part.totals} for part in totals},
        totals_label={part.name: part.sheet.total_label for part in totals},
        totals_format={part.name: bold for part in totals},
        charts={part.name: _charts(part) for part in parts if part.sheet.chart},
    )


def _records(part: Part) -> Iterator[dict[str, Cell]]:
    titles = part.titles
    for cells in part.rows():
        yield dict(zip(titles, cells, strict=True))
    if not part.count:
        yield dict.fromkeys(titles)  # it takes the header from the first record


def _formats(part: Part) -> list[Any]:
    return [Format().set_num_format(column.number_format) for column in part.sheet.columns]


def _charts(part: Part) -> list[dict[str, Any]]:
    chart = part.sheet.chart
    if chart is None:
        return []
    return [
        {
            "type": chart.kind,
            "title": chart.title,
            "categories": chart.categories,
            "series": list(chart.series),
            "legend": True,
        }
    ]
