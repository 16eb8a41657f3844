import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.yaml_document import Data
from metering.yaml_document import Problem
from metering.yaml_document import parse

DOCUMENT = b"""\
# a comment
services:
  prod: {auth: adc, location: no}

  other:
    project: 0123
routes: [{service: prod},
  {service: other}]
"""


def test_scalars_are_text_and_have_lines() -> None:
    document = parse(DOCUMENT)
    assert document.problems == []
    assert document.data == {
        "services": {"prod": {"auth": "adc", "location": "no"}, "other": {"project": "0123"}},
        "routes": [{"service": "prod"}, {"service": "other"}],
    }
    assert document.line(("services", "prod", "location")) == 3
    assert document.line(("services", "other", "project")) == 6
    assert document.line(("routes", 1, "service")) == 8
    assert document.line(("services", "other", "missing", "deeper")) == 5
    assert document.line(("nowhere",)) == 1


def test_a_byte_order_mark() -> None:
    assert parse(b"\xef\xbb\xbfa: b").data == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        (b"", 1, "is empty"),
        (b"# nothing\n", 1, "is empty"),
        (b"a: b\n\xff", 2, "is not UTF-8"),
        (b"a: b\nc: \x01", 2, "has a character that YAML does not allow"),
        (b"a:\n\tb: c", 2, "found character '\\t' that cannot start any token"),
        (b"a: b\n  c: d", 2, "mapping values are not allowed here"),
        (b"a: [b", 1, "expected ',' or ']'"),
        (b"a: b\n---\nc: d", 2, "found another document"),
        (b"a: &name b\nc: *name", 1, "anchors and aliases are not supported"),
        (b"a: b\nc: *name", 2, "anchors and aliases are not supported"),
        (b"a: b\nc: !!python/name:os.system x", 2, "has a YAML tag; write plain text"),
        (b"a: b\nc: !env KEY", 2, "has a YAML tag; write plain text"),
        (b"a: b\nc:\n", 2, "has no value; write one, or leave it out"),
        (b"a:\n- b\n- ~\n", 3, "has no value"),
        (b"a: b\nc: d\na: e", 3, "appears twice, first in line 1"),
        (b"a: b\n? [c]\n: d", 2, "has a name that is not text"),
        (b"[" * 1000, 1, "is nested too deeply"),
    ],
)
def test_problems(content: bytes, line: int, told: str) -> None:
    (problem,) = parse(content).problems
    assert problem.line == line
    assert told in problem.text


def test_what_is_right_beside_a_problem() -> None:
    document = parse(b"a: b\na: c\nd: [~, e,\n  f]\ng:\n")
    assert document.data == {"a": "b", "d": ["e", "f"]}
    assert [problem[:2] for problem in document.problems] == [(2, ("a",)), (3, ("d", 0)), (5, ("g",))]
    assert (document.line(("d", 0)), document.line(("d", 1))) == (3, 4)


def is_plain(data: Data | None) -> bool:
    if isinstance(data, dict):
        return all(isinstance(name, str) and is_plain(member) for name, member in data.items())
    return all(map(is_plain, data)) if isinstance(data, list) else isinstance(data, str)


@given(st.binary(max_size=200) | st.text("ab01:-[]{}&*!?|>%~# \n\t\"',", max_size=80).map(str.encode))
def test_any_bytes(content: bytes) -> None:
    document = parse(content)
    assert is_plain(document.data) or document.problems
    assert all(isinstance(problem, Problem) and problem.line >= 1 for problem in document.problems)
