"""Reports: everything is counted, a part is kept, a smaller part is shown."""

import io
import json

from rich.console import Console

from preprocess.imports.refusal import Refusal, Rule
from preprocess.imports.report import KEPT, SHOWN, ImportReport
from preprocess.market.values import Tally


def _refusals(count: int, file: str = "a.csv") -> ImportReport:
    report = ImportReport("prices", files=1, rows=count)
    for line in range(2, count + 2):
        report.refuse(Refusal(file, line, Rule.PRICE, "open is '[/red]'"))
    return report


def _shown(report: ImportReport) -> str:
    console = Console(file=io.StringIO(), width=60)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_parts_add_up_and_the_lists_stay_bounded() -> None:
    report = ImportReport("prices", tally=Tally(1, 1, 1))
    for number in range(3):
        part = _refusals(KEPT // 2 + 1, f"{number}.csv")
        part.tally = Tally(3, 2, 1)
        part.left_out = 4
        report.merge(part)
        for file in range(KEPT + 1):
            report.refuse_file(f"{number}-{file}", "it is empty")
    assert (report.files, report.rows, report.left_out) == (3, report.refused, 12)
    assert report.tally == Tally(10, 7, 4)
    assert report.refused_by_rule == {Rule.PRICE: 3 * (KEPT // 2 + 1)}
    assert report.refused_files == 3 * (KEPT + 1)
    assert len(report.first_refused) == len(report.first_refused_files) == KEPT
    assert (report.first_refused[-1].file, report.first_refused[-1].line) == ("1.csv", KEPT // 2)


def test_what_is_shown() -> None:
    report = _refusals(KEPT + 5)
    report.tally = Tally(1_234, 56, 7)
    report.refuse_file("b.csv", "it is empty")
    assert len(report.first_refused) == KEPT
    text = _shown(report)
    assert "1,234" in text
    assert "1,005 refused: no positive price\n" in text
    assert text.count("a.csv, line") == SHOWN
    assert "  a.csv, line 2: no positive price (open is '[/red]')\n" in text
    assert f"  and {KEPT + 5 - SHOWN} more rows\n" in text
    assert "refused whole: b.csv: it is empty\n" in text
    assert "more files" not in text


def test_json_holds_all_of_it() -> None:
    report = _refusals(1)
    report.tally = Tally(1, 2, 3)
    report.left_out, report.stocks_changed = 4, 5
    report.refuse_file("b.csv", "it is empty")
    assert json.loads(json.dumps(report.to_json())) == {
        "kind": "prices",
        "files": 1,
        "formats": {},
        "notes": [],
        "rows": 1,
        "added": 1,
        "changed": 2,
        "unchanged": 3,
        "left_out": 4,
        "stocks_changed": 5,
        "refused": {
            "total": 1,
            "by_rule": {"no positive price": 1},
            "first": [
                {
                    "file": "a.csv",
                    "line": 2,
                    "rule": "no positive price",
                    "detail": "open is '[/red]'",
                }
            ],
        },
        "refused_files": {"total": 1, "first": [{"file": "b.csv", "reason": "it is empty"}]},
    }
