"""Results as filed in XBRL, and the exchanges' lists of filings with their times."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import bring_in, contents, text_file, zip_file

FACTS = {
    "ScripCode": "500325",
    "DateOfStartOfReportingPeriod": "2024-04-01",
    "DateOfEndOfReportingPeriod": "2024-06-30",
    "NatureOfReportStandaloneConsolidated": "Consolidated",
    "DateOfBoardMeetingWhenFinancialResultsWereApproved": "2024-07-19",
    "RevenueFromOperations": "1250000000",
    "ProfitLossForPeriod": "100000000",
    "ProfitBeforeExceptionalItemsAndTax": "150000000",
    "FinanceCosts": "20000000",
    "DepreciationDepletionAndAmortisationExpense": "40000000",
    "OtherIncome": "10000000",
    "BasicEarningsLossPerShareFromContinuingAndDiscontinuedOperations": "5.5",
}
RESULT = ("2024-06-30", "2024-07-19", 125.0, 10.0, 20.0, 5.5)
LIST_HEADER = "SYMBOL,PERIOD ENDED,CONSOLIDATED / NON-CONSOLIDATED,BROADCAST DATE/TIME"


def _document(
    changed: Mapping[str, str | None] | None = None, prefix: str = "in-bse-fin", doctype: str = ""
) -> str:
    facts = {
        name: value for name, value in {**FACTS, **(changed or {})}.items() if value is not None
    }
    lines = [
        f'<{prefix}:{name} contextRef="{context}">{value}</{prefix}:{name}>'
        for context, factor in (("OneD", ""), ("FourD", "9"), ("OneD_Segment", "8"))
        for name, value in facts.items()
        for value in [f"{factor}{value}" if context != "OneD" and value.isdigit() else value]
    ]
    # Both contexts may declare the same dates: the id decides.
    dates = "<startDate>2024-04-01</startDate><endDate>2024-06-30</endDate>"
    contexts = [
        f'<context id="{each}"><period>{dates}</period></context>' for each in ("OneD", "FourD")
    ]
    space = f'xmlns="http://www.xbrl.org/2003/instance" xmlns:{prefix}="urn:{prefix}"'
    return f'<?xml version="1.0"?>{doctype}<xbrl {space}>{"".join(contexts + lines)}</xbrl>'


def _inline(prefix: str = "in-capmkt") -> str:
    lines = []
    for name, fact in FACTS.items():
        value = "-".join(reversed(fact.split("-"))) if name.startswith("Date") else fact
        attributes = f'name="{prefix}:{name}" contextRef="OneD"'
        if name == "RevenueFromOperations":
            lines.append(f'<ix:nonFraction {attributes} scale="5">12,500.00</ix:nonFraction>')
        elif name == "ProfitLossForPeriod":
            lines.append(f'<ix:nonFraction {attributes} scale="7" sign="-">10</ix:nonFraction>')
        else:
            lines.append(f"<ix:nonNumeric {attributes}><b>{value}</b></ix:nonNumeric>")
    space = f'xmlns:ix="http://www.xbrl.org/2013/inlineXBRL" xmlns:{prefix}="urn:{prefix}"'
    body = f"<ix:header/><p>{'</p><p>'.join(lines)}</p>"
    return f'<html xmlns="http://www.w3.org/1999/xhtml" {space}><body>{body}</body></html>'


def _results(store: SQLiteStore) -> list[tuple[object, ...]]:
    return [row[3:9] for row in contents(store.path)["historical_financials"]]


@pytest.mark.parametrize("prefix", ["in-bse-fin", "in-capmkt"])
@pytest.mark.parametrize(
    "identity",
    [{}, {"ScripCode": None, "ISIN": "INE002A01018"}, {"ScripCode": "-", "Symbol": "ALPHAIND"}],
)
def test_a_document_is_read_whatever_its_prefix_and_identity(
    tmp_path: Path, listed: SQLiteStore, prefix: str, identity: dict[str, str | None]
) -> None:
    text = _document(identity, prefix)
    assert bring_in(listed, None, text_file(tmp_path / "a.xml", text)).complete
    assert _results(listed) == [RESULT]
    assert bring_in(listed, None, tmp_path / "a.xml").nothing_new


def test_inline_xbrl_is_scaled_and_signed(tmp_path: Path, listed: SQLiteStore) -> None:
    packed = zip_file(tmp_path / "a.zip", {"a.xhtml": _inline().encode()})
    assert bring_in(listed, None, packed).complete
    assert _results(listed) == [(*RESULT[:3], -10.0, *RESULT[4:])]


def test_a_bank_has_no_operating_profit(tmp_path: Path, listed: SQLiteStore) -> None:
    bank: dict[str, str | None] = {
        "RevenueFromOperations": None,
        "InterestEarned": "1250000000",
        "ProfitLossForPeriod": None,
        "ProfitLossForThePeriod": "100000000",
    }
    bring_in(listed, None, text_file(tmp_path / "a.xml", _document(bank)))
    assert _results(listed) == [(*RESULT[:4], None, 5.5)]


@pytest.mark.parametrize(
    ("owners", "others", "profit"),
    [
        ("90000000", {}, 9.0),
        ("0", {}, 10.0),
        ("-90000000", {}, 10.0),
        # 100 million shares: an EPS of 5.5 is nearer to the owners' part of 500 million.
        (
            "500000000",
            {"PaidUpValueOfEquityShareCapital": "200000000", "FaceValueOfEquityShareCapital": "2"},
            50.0,
        ),
    ],
)
def test_of_a_group_the_owners_part_counts_unless_eps_contradicts_it(
    tmp_path: Path, listed: SQLiteStore, owners: str, others: dict[str, str], profit: float
) -> None:
    text = _document({"ProfitOrLossAttributableToOwnersOfParent": owners, **others})
    bring_in(listed, None, text_file(tmp_path / "a.xml", text))
    assert _results(listed)[0][3] == profit


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_revision_is_a_state_of_its_own_and_all_filings_are_kept(
    tmp_path: Path, listed: SQLiteStore, order: tuple[int, ...]
) -> None:
    approved = "DateOfBoardMeetingWhenFinancialResultsWereApproved"
    texts = [
        _document(
            {"NatureOfReportStandaloneConsolidated": "Standalone", "ProfitLossForPeriod": "1"}
        ),
        _document(),
        _document({approved: "2024-08-30", "ProfitLossForPeriod": "70000000"}),
    ]
    files = [text_file(tmp_path / f"{n}.xml", text) for n, text in enumerate(texts)]
    row = "ALPHAIND,30-Jun-2024,Consolidated,20-Jul-2024 00:05:11"
    files.append(text_file(tmp_path / "list.csv", LIST_HEADER, row))
    for number in order:
        assert bring_in(listed, None, files[number]).complete
    assert bring_in(listed, None, *files).nothing_new
    assert _results(listed) == [("2024-06-30", "2024-08-30", 125.0, 7.0, 20.0, 5.5)]
    assert [row[3:9] for row in contents(listed.path)["earlier_results"]] == [
        ("2024-07-20", "2024-06-30", 125.0, 10.0, 20.0, 5.5)
    ]
    assert [(row[2], row[3], row[5]) for row in contents(listed.path)["filings"]] == [
        ("consolidated", "2024-07-19", 10.0),
        ("consolidated", "2024-07-20T00:05:11", None),
        ("consolidated", "2024-08-30", 7.0),
        ("standalone", "2024-07-19", 1e-7),
    ]


def test_a_consolidated_document_is_not_known_before_it_is_filed(
    tmp_path: Path, listed: SQLiteStore
) -> None:
    approved = "DateOfBoardMeetingWhenFinancialResultsWereApproved"
    alone = {"NatureOfReportStandaloneConsolidated": "Standalone", "ProfitLossForPeriod": "10"}
    bring_in(listed, None, text_file(tmp_path / "a.xml", _document(alone)))
    bring_in(listed, None, text_file(tmp_path / "b.xml", _document({approved: "2024-08-09"})))
    assert _results(listed) == [("2024-06-30", "2024-08-09", *RESULT[2:])]
    (earlier,) = contents(listed.path)["earlier_results"]
    assert earlier[3:7] == ("2024-07-19", "2024-06-30", 125.0, 1e-6)


@pytest.mark.parametrize("first", ["list", "document"])
def test_a_broadcast_is_the_day_of_the_announcement(
    tmp_path: Path, listed: SQLiteStore, first: str
) -> None:
    row = "ALPHAIND,30-Jun-2024,Consolidated,20-Jul-2024 00:05:11"
    paths = [
        text_file(tmp_path / "CF-Financial-Results.csv", LIST_HEADER, row),
        text_file(tmp_path / "a.xml", _document()),
    ]
    for path in paths if first == "list" else reversed(paths):
        assert bring_in(listed, None, path).complete
    assert _results(listed) == [("2024-06-30", "2024-07-20", *RESULT[2:])]
    filed = [row[3] for row in contents(listed.path)["filings"]]
    assert filed == ["2024-07-19", "2024-07-20T00:05:11"]


@pytest.mark.parametrize(
    "ended",
    [
        "period ended June 30 2024",
        "Quarter Ended 30th June 2024",
        "quarter and half year ended on 30-Jun-2024",
        "quarter ended 30.06.2024",
    ],
)
def test_an_announcement_counts_before_its_figures_come(
    tmp_path: Path, listed: SQLiteStore, ended: str
) -> None:
    header = "SYMBOL,COMPANY NAME,SUBJECT,DETAILS,BROADCAST DATE/TIME"
    rows = [
        f"ALPHAIND,Alpha,Financial Results,Results for the {ended},19-Jul-2024 18:05:11",
        f"ALPHAIND,Alpha,Press Release,Results for the {ended},19-Jul-2024 18:06:00",
    ]
    report = bring_in(listed, None, text_file(tmp_path / "CF-Announcements.csv", header, *rows))
    assert (report.tally.added, report.left_out) == (1, 1)
    assert _results(listed) == [("2024-06-30", "2024-07-19", None, None, None, None)]


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_document(doctype=BOMB), "document type"),
        (_document(doctype=OUTSIDE), "document type"),
        (_document(doctype="<!DOCTYPE xbrl>"), "document type"),
        (_document()[:-30], "not well-formed"),
        ("<?xml version='1.0'?><rss/>", "no XBRL"),
        (_document().replace('"OneD"', '"Other"'), "no facts of the quarter"),
        (_document({"DateOfStartOfReportingPeriod": "2024-01-01"}), "no quarter"),
        (_document({"RevenueFromOperations": "many"}), "RevenueFromOperations is 'many'"),
        (_document({"ScripCode": None, "ISIN": None, "Symbol": ""}), "no known stock"),
        (
            _document().replace(
                "</xbrl>", '<x contextRef="OneD">1</x><x contextRef="OneD">2</x></xbrl>'
            ),
            "twice",
        ),
    ],
    ids=lambda value: value[:20] if "<" not in value else "",
)
def test_a_document_that_cannot_be_read_is_refused_whole(
    tmp_path: Path, listed: SQLiteStore, text: str, reason: str
) -> None:
    report = bring_in(listed, None, text_file(tmp_path / "a.xml", text))
    assert reason in report.first_refused_files[0].reason
    assert not _results(listed)
