"""The results of conversions are those in the golden tables. `scripts/bench golden --write` writes them; review the
diff then."""

import json
from pathlib import Path

import pytest

from tests.golden import cases
from tests.golden import results
from tests.golden import text_of


@pytest.mark.parametrize("path", cases(), ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    case = json.loads(path.read_text())
    got = results(case)
    for model, told in case["gets"].items():
        for change, expected in told.items():
            assert got[model][change] == expected, f"{model}, {change}"
    assert text_of(case | {"gets": got}) == path.read_text()


def test_there_are_some() -> None:
    assert len(cases()) > 10
