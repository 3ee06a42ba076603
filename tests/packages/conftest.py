"""Find what `make package` made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gate import give_up

DIST = Path(__file__).parents[2] / "dist" / "package"


@pytest.fixture
def package() -> Callable[[str], Path]:
    """Return the one package whose name matches a pattern."""

    def find(pattern: str) -> Path:
        found = list(DIST.glob(pattern))
        if len(found) != 1:
            give_up(f"needs {pattern}: make package")
        return found[0]

    return find
