"""Markets compared bit for bit."""

from preprocess.market.columns import SCHEMA, MarketColumns


def assert_same_columns(
    found: MarketColumns, expected: MarketColumns, *, marks: bool = True
) -> None:
    """The same stocks with the same bits, as of the same mark unless that is left out."""
    assert found.codes.tolist() == expected.codes.tolist()
    assert not marks or found.mark == expected.mark
    for name, columns in SCHEMA.items():
        mine, theirs = found.tables[name], expected.tables[name]
        assert mine.starts.tolist() == theirs.starts.tolist(), name
        for column in columns:
            assert mine[column].dtype == theirs[column].dtype, (name, column)
            assert mine[column].tobytes() == theirs[column].tobytes(), (name, column)
