from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jobs_service.sheets.columns import Column, Kind
from jobs_service.sheets.sheet import Sheet
from tests.jobs_service.sheets.workbooks import WRITERS, by_libreoffice, written

COLUMNS = [
    Column("No", Kind.INTEGER, format="0"),
    Column("At", Kind.DATETIME),
    Column("Text", Kind.TEXT),
    Column("Amount", Kind.MONEY, format="0.00", total=True),
]
TEXTS = ["=1+1", "@SUM(A1)", "-2", "007", 'said "no", twice', "two\nlines", "Ærøskøbing 😀", "<&>"]


def test_libreoffice_reads_what_was_written(tmp_path: Path) -> None:
    start = datetime.fromisoformat("2024-02-29T23:59")
    rows: list[list[Any]] = [
        [n, start + timedelta(hours=n), TEXTS[n % len(TEXTS)], n * 1_234_567 + 1] for n in range(40)
    ]
    books = {
        name: written(name, [Sheet("Data", COLUMNS, rows, 40)], sheet_rows=32) for name in WRITERS
    }
    shown = by_libreoffice(tmp_path, **books)
    total = sum(row[3] for row in rows)
    lines = [[str(n), str(at), text, f"{cents / 100:.2f}"] for n, at, text, cents in rows]
    titles = ["No", "At", "Text", "Amount"]
    for name in WRITERS:
        assert [[*row[:3], f"{float(row[3]):.2f}"] for row in shown[name]["Data 1"][1:]] == lines[
            :30
        ]
        first, *body, last = shown[name]["Data 2"]
        assert first == titles
        assert [[*row[:3], f"{float(row[3]):.2f}"] for row in body] == lines[30:]
        assert last[:3] == ["Total", "", ""]
        assert float(last[3]) == total / 100
