import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.errors import InvalidRequest
from addons.translation.splice import add_member
from addons.translation.splice import replace_model
from tests.metering.test_json_array import json_values


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a"}', b'{"model":"m"}'),
        (b' {\n "x" : 1e5 ,\t"model" : "a"\r\n} \n', b' {\n "x" : 1e5 ,\t"model" : "m"\r\n} \n'),
        # Nothing to change.
        (b'{ "model" : "m" , "x": "\\u00e9\xc3\xa9" }', b'{ "model" : "m" , "x": "\\u00e9\xc3\xa9" }'),
        (b'{ "model" : "\\u006d" }', b'{ "model" : "\\u006d" }'),
        (b"{ }", b"{ }"),
        # The name, however it is spelled, twice, not in a deeper place.
        (b'{"m\\u006fdel":"a"}', b'{"m\\u006fdel":"m"}'),
        (b'{"model":"a","x":{"model":"a"},"model":5}', b'{"model":"m","x":{"model":"a"},"model":"m"}'),
        # Members that go: the first, one in the middle, the last, several, all.
        (b'{"gone":1, "x":2}', b'{"x":2}'),
        (b'{"x":1, "gone":[{"gone":","}], "y":2}', b'{"x":1, "y":2}'),
        (b'{"x":1, "gone":2}', b'{"x":1}'),
        (b'{"x":1, "gone":2, "lost":3}', b'{"x":1}'),
        (b'{"gone":1, "x":2, "lost":3}', b'{"x":2}'),
        (b'{"gone":1,"lost":3}', b"{}"),
        (b'{"x":{"gone":1}}', b'{"x":{"gone":1}}'),
    ],
)
def test_another_model(body: bytes, expected: bytes) -> None:
    assert replace_model(body, "m", {"gone", "lost"}) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", b'{"v":"1"}'),
        (b' {\n "x" : 1e5 } ', b' {"v":"1",\n "x" : 1e5 } '),
        (b'{"x":{"v":2}}', b'{"v":"1","x":{"v":2}}'),
        (b'{"x":1, "v" : 2}', b'{"x":1, "v" : 2}'),
        (b'{"\\u0076":2}', b'{"\\u0076":2}'),
    ],
)
def test_a_member_more(body: bytes, expected: bytes) -> None:
    assert add_member(body, "v", "1") == expected


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a"', b"\xff"])
def test_nothing_to_add_to(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        add_member(body, "v", "1")


def test_a_model_of_any_name() -> None:
    assert json.loads(replace_model(b'{"model": "a"}', 'é"\\', set())) == {"model": 'é"\\'}


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"5", b'"{"', b"{", b'{"a"', b'{"a" 1}', b'{"a":1', b'{"a":}', b"\xff"]
)
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        replace_model(body, "m", set())


space = st.text(" \t\r\n", max_size=2)


@st.composite
def written_objects(draw: st.DrawFn) -> list[tuple[str, str, str, Any]]:
    """Members of an object, as (what is before its name, name and value as text, name, value)."""
    members = []
    for name in draw(st.lists(st.sampled_from(["model", "gone", "lost", "x", "é", ""]) | st.text(max_size=3))):
        value = draw(json_values | st.sampled_from(["m", "a", "}", ",", '"']))
        ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
        key = json.dumps(name, ensure_ascii=ascii_only) + draw(space) + ":"
        text = draw(space) + json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        members.append((draw(space), key + text, name, value))
    return members


@given(members=written_objects(), around=st.tuples(space, space, space))
def test_any_object(members: list[tuple[str, str, str, Any]], around: tuple[str, str, str]) -> None:
    before, inside, after = around
    text = before + "{" + ",".join(gap + member + inside for gap, member, _, _ in members) + "}" + after
    written = replace_model(text.encode(), "m", {"gone", "lost"}).decode()
    kept = [(member, name, value) for _, member, name, value in members if name not in ("gone", "lost")]
    pairs = [(name, "m" if name == "model" else value) for _, name, value in kept]
    assert json.loads(written) == dict(pairs)
    if len(kept) == len(members) and all(value == "m" for _, name, value in kept if name == "model"):
        assert written == text
    # All that stays, stays as it was written, in its order.
    place = 0
    for member, name, value in kept:
        if name != "model" or value == "m":
            place = written.index(member, place) + len(member)
    assert written.startswith(before + "{")
    assert written.endswith("}" + after)
