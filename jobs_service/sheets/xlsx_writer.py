"""Write workbooks by XlsxWriter: for what rustpy-xlsxwriter can't do, at six times the time."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, BinaryIO

import xlsxwriter

from jobs_service.sheets.columns import Cell
from jobs_service.sheets.sheet import Part
from jobs_service.sheets.style import HEADER_BACKGROUND


def write(parts: Sequence[Part], file: BinaryIO) -> None:
    """Write ``parts`` to ``file``; see workbook.write_workbook."""
    as_tables = any(part.sheet.as_table for part in parts)
    options = {
        # A table's header is written after its rows, so they have to be in memory.
        "constant_memory": not as_tables,
        # Text stays text, whatever it looks like.
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as workbook:
        look = {"bold": True, "bg_color": HEADER_BACKGROUND}
        for part in parts:
            _write_part(workbook, part, look)


def _write_part(workbook: Any, part: Part, look: dict[str, Any]) -> None:
    columns = part.sheet.columns
    worksheet = workbook.add_worksheet(part.name)
    formats = [workbook.add_format({"num_format": c.number_format}) for c in columns]
    bold = workbook.add_format(look)
    for index, column in enumerate(columns):
        worksheet.set_column(index, index, column.width, formats[index])
    worksheet.freeze_panes(1, 0)
    for index, title in enumerate(part.titles):
        worksheet.write_string(0, index, title, bold)
    for number, cells in enumerate(part.rows(), 1):
        for index, cell in enumerate(cells):
            if cell is not None and cell != "":
                _writer(worksheet, cell)(number, index, cell, formats[index])
    last = max(part.count, 1)
    if part.sheet.as_table:
        headers = [{"header": title, "header_format": bold} for title in part.titles]
        worksheet.add_table(0, 0, last, len(columns) - 1, {"columns": headers})
    else:
        worksheet.autofilter(0, 0, last, len(columns) - 1)
    if part.has_totals:
        _write_totals(workbook, worksheet, part, last + 1, look)
    if part.sheet.chart is not None:
        _add_chart(workbook, worksheet, part, last)


def _writer(worksheet: Any, cell: Cell) -> Callable[..., Any]:
    """The method for the type: ``write`` would guess again what the text might be."""
    if isinstance(cell, str):
        return worksheet.write_string  # type: ignore[no-any-return]
    if isinstance(cell, bool):
        return worksheet.write_boolean  # type: ignore[no-any-return]
    if isinstance(cell, date):
        return worksheet.write_datetime  # type: ignore[no-any-return]
    return worksheet.write_number  # type: ignore[no-any-return]


def _write_totals(
    workbook: Any, worksheet: Any, part: Part, row: int, look: dict[str, Any]
) -> None:
    bold = workbook.add_format(look)
    for index, column in enumerate(part.sheet.columns):
        if index in part.totals:
            number = workbook.add_format({**look, "num_format": column.number_format})
            formula = f"={part.total_formula(index)}"
            worksheet.write_formula(row, index, formula, number, part.totals[index].value)
        elif index == 0:
            worksheet.write_string(row, 0, part.sheet.total_label, bold)


def _add_chart(workbook: Any, worksheet: Any, part: Part, last: int) -> None:
    wanted = part.sheet.chart
    if wanted is None:
        return
    chart = workbook.add_chart({"type": wanted.kind})
    categories = part.titles.index(wanted.categories)
    for title in wanted.series:
        values = part.titles.index(title)
        chart.add_series(
            {
                "name": [part.name, 0, values],
                "categories": [part.name, 1, categories, last, categories],
                "values": [part.name, 1, values, last, values],
            }
        )
    chart.set_title({"name": wanted.title})
    chart.set_legend({"position": "bottom"})
    worksheet.insert_chart(0, len(part.titles) + 1, chart)
