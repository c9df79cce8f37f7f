"""What the readers of an import share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from preprocess.errors import ImportRefusedError
from preprocess.imports.formats import Format
from preprocess.imports.identity import Codes


@dataclass(slots=True)
class Context:
    """One import's settings and knowledge, and what belongs to the file that is being read."""

    today: date
    codes: Codes
    adjusted: bool = False
    unit: str | None = None
    file_name: str = ""
    note: Callable[[str], None] = lambda _text: None
    second: set[str] = field(default_factory=set)  # stocks of this file whose bars BSE's replace
    quarters: set[tuple[str, date]] = field(default_factory=set)  # those with a new filing
    days: set[date] = field(default_factory=set)  # those with a price in this import

    def day_in_name(self, form: Format, pattern: str) -> date:
        """The day of a file whose rows have none.

        Raises:
            ImportRefusedError: its name, which should be like `pattern`, has no past day.
        """
        day = form.day_of(self.file_name)
        if day is None:
            raise ImportRefusedError(f"its day is read from its name, which must be {pattern}")
        if day > self.today:
            raise ImportRefusedError(f"its name says {day}, which has not come yet")
        return day
