"""One application on the fake predictor, for tests of what HTTP callers see."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.fakes import Running, running_app


@pytest.fixture
async def tezi(tmp_path: Path) -> AsyncIterator[Running]:
    """A running application: version 1 is published, four stocks are known."""
    async with running_app(tmp_path) as running:
        yield running
