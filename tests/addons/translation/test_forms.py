import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from addons.translation import forms
from addons.translation.errors import InvalidRequest
from addons.translation.forms import Field
from addons.translation.forms import FormFile

TYPE = "multipart/form-data; boundary=B"

names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\%"), min_size=1, max_size=20)
files = st.builds(FormFile, st.binary(), names, st.sampled_from(["image/png", "application/octet-stream"]))
fields = st.lists(st.tuples(names, st.text(st.characters(exclude_categories=["Cs"])) | files), max_size=8)


def form(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


@given(fields)
@example([("a", FormFile(b"\r\n--B--\r\n", 'a"b', "image/png"))])
def test_what_is_written_is_read(fields: list[Field]) -> None:
    assert forms.read(*forms.write(fields)) == fields


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (b'Content-Disposition: form-data; name="a"\r\n\r\nx', ("a", "x")),
        (b'Content-Disposition: form-data; name="a"\r\n\r\n', ("a", "")),
        (b"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain\r\n\r\n\xc3\xa9", ("a", "é")),
        (
            b'Content-Disposition: form-data; name="a"; filename="b.png"\r\nContent-Type: image/png\r\n\r\n\xff',
            ("a", FormFile(b"\xff", "b.png", "image/png")),
        ),
        # A file without a name, a file without a type, a text that was a file.
        (
            b'Content-Disposition: form-data; name="a"\r\nContent-Type: Image/PNG; x=y\r\n\r\n\xff',
            ("a", FormFile(b"\xff", "", "image/png")),
        ),
        (b'Content-Disposition: form-data; name="a"; filename="b"\r\n\r\n\xff', ("a", FormFile(b"\xff", "b", None))),
        (
            b'Content-Disposition: form-data; name="a"; filename="b"\r\nContent-Type: text/plain\r\n\r\nx',
            ("a", FormFile(b"x", "b", "text/plain")),
        ),
    ],
)
def test_fields(part: bytes, expected: Field) -> None:
    assert forms.read(TYPE, form(part)) == [expected]


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("multipart/form-data", form()),
        ("multipart/form-data; boundary=", form()),
        (TYPE, b""),
        (TYPE, b"{}"),
        (TYPE, b"--C--\r\n"),
        (TYPE, form(b"x")),
        (TYPE, form(b"Content-Type: text/plain\r\n\r\nx")),
        (TYPE, form(b'Content-Disposition: form-data; name="a"\r\n\r\n\xff')),
        (TYPE, form(b'Content-Disposition: form-data; name="a"\r\n\r\nx')[:-6]),
        (TYPE, form(*[b'Content-Disposition: form-data; name="a"\r\n\r\nx'] * (forms.MOST_FIELDS + 1))),
        (TYPE + '; a="' * 1000, form()),
    ],
)
def test_what_is_no_form(content_type: str, raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        forms.read(content_type, raw)


@given(st.binary(max_size=200), st.text(max_size=50))
def test_foreign_bytes_are_refused_at_most(raw: bytes, tail: str) -> None:
    for content_type, body in ((TYPE, raw), (TYPE, form(raw)), (f"multipart/form-data; {tail}", raw)):
        try:
            read = forms.read(content_type, body)
        except InvalidRequest:
            continue
        assert all(isinstance(value, str | FormFile) for _, value in read)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([("a", "1"), ("b", "2")], {"a": "1", "b": "2"}),
        ([("a[]", "1")], {"a": ["1"]}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a", "1"), ("a", "2"), ("a[]", "3")], {"a": ["1", "2", "3"]}),
        ([("a[b]", "1"), ("a[c]", "2"), ("a[b]", "3")], {"a": {"b": ["1", "3"], "c": "2"}}),
        ([("a", "1"), ("a[b]", "2")], {"a": "1"}),
        ([("a[b]", "1"), ("a", "2")], {"a": [{"b": "1"}, "2"]}),
        ([("a[b][c]", "1"), ("[b]", "2")], {"a[b][c]": "1", "[b]": "2"}),
    ],
)
def test_lists_and_members(fields: list[Field], body: dict[str, object]) -> None:
    assert forms.body_of(fields) == body


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [(TYPE, True), ("Multipart/Form-Data; boundary=B", True), ("application/json", False), ("", False)],
)
def test_which_bodies_are_forms(content_type: str, expected: bool) -> None:
    assert forms.is_form(content_type) is expected
