import csv
import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.output import UNSAFE
from metering.output import cell
from metering.output import csv_line
from metering.output import json_of
from metering.output import readable
from metering.output import safe_json
from metering.output import visible
from metering.output import write_csv
from metering.output import write_json


@pytest.mark.parametrize("told", ["Müller".encode(), "Müller".encode("latin-1")])
def test_bytes_that_are_not_utf_8(told: bytes) -> None:
    assert readable(told.decode(errors="surrogateescape")) == "Müller"


class TestVisible:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain, [bold]ü[/]", "plain, [bold]ü[/]"),
            ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
            ("a\nb\tc", r"a\x0ab\x09c"),
            ("\x9b2J", r"\x9b2J"),
            ("abc\u202etxt", r"abc\u202etxt"),
            ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
            ("\U000e0041", r"\U000e0041"),
            ("M\udcfcller", "M\ufffdller"),
        ],
    )
    def test_examples(self, text: str, shown: str) -> None:
        assert visible(text) == shown

    def test_every_character(self) -> None:
        """Controls, separators of lines, halves of pairs, and all that turns the direction of text."""
        turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        for code in range(sys.maxunicode + 1):
            character = chr(code)
            if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
                unicodedata.bidirectional(character) in turning
            ):
                assert UNSAFE.match(character), hex(code)
        assert not UNSAFE.search("äé日本語 अ ε🙂")


class TestCell:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("+1", "'+1"),
            ("-1+2", "'-1+2"),
            ('"=1+1', "'\"=1+1"),
            ("'=1+1", "''=1+1"),
            ("\t=1", r"'\x09=1"),
            ("\rx", r"'\x0dx"),
            ("＝1", "'＝1"),
            ("-5", "-5"),
            ("-1.5e3", "-1.5e3"),
            (-5, -5),
            (None, None),
            ("a=b", "a=b"),
            ("gemini-2.5", "gemini-2.5"),
            ("a\x07", r"a\x07"),
        ],
    )
    def test_examples(self, value: object, written: object) -> None:
        assert cell(value) == written

    @given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("=+-@\t\r\"'")))
    def test_none_begins_like_a_formula(self, value: str) -> None:
        (read,) = next(csv.reader(io.StringIO(csv_line([value]))), [""])
        begins = read.lstrip("\"' ")[:1]
        assert not UNSAFE.search(read)
        if begins in tuple("=+-@"):
            assert read[0] == "'" or float(read) <= 0


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.text() | st.none() | st.integers(), min_size=2), max_size=3))
def test_json_is_json(rows: list[dict[str, object]]) -> None:
    out = io.StringIO()
    write_json(rows, out)
    assert json.loads(out.getvalue()) == rows
    assert not UNSAFE.search(out.getvalue().replace("\n", ""))
    assert len(out.getvalue().splitlines()) == (len(rows) + 2 if rows else 1)


def test_json_escapes_what_is_invisible() -> None:
    assert json_of({"a": "\x1b\u202eü\x7f"}) == r'{"a": "\u001b\u202eü\u007f"}'
    assert json.loads(json_of("\U000e0041")) == "\U000e0041"
    # UTF-8 has no halves of pairs, and a strict parser takes none.
    assert json_of("M\udcfcller") == r'"M\ufffdller"'
    assert safe_json('{"a":"b"}') == '{"a":"b"}'


def test_csv() -> None:
    out = io.StringIO()
    write_csv([{"a": 'x,"y"', "b": None, "c": 1}], ["b", "a", "c"], out)
    assert out.getvalue() == 'b,a,c\n,"x,""y""",1\n'
