import re

from metering.call import ErrorType
from metering.error_meanings import MEANINGS
from metering.error_meanings import meanings
from tests.process import ROOT


def test_the_docs_have_them_all() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert dict(rows[1:]) == MEANINGS


def test_our_own_are_explained() -> None:
    assert {*ErrorType} <= {*MEANINGS}


def test_lines() -> None:
    assert [*meanings(["upstream_cut", None, "SOMETHING", "upstream_cut"])] == [
        "upstream_cut: the connection broke before the answer's end; what had come was passed on"
    ]
