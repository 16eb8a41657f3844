import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Media
from addons.translation.errors import InvalidRequest
from addons.translation.media import AUDIO_TYPES
from addons.translation.media import base64_of
from addons.translation.media import from_url
from addons.translation.media import image_type
from addons.translation.media import mime_type_of
from addons.translation.media import type_by_name


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("png", "image/png"),
        (".PNG", "image/png"),
        (" jpg ", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("IMAGE/HEIC", "image/heic"),
        ("application/vnd.x+json", "application/vnd.x+json"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("mov", "video/quicktime"),
        ("", None),
        ("/", None),
        ("image/", None),
        ("image/png, x", None),
        ("image/png\r\nx: y", None),
        ("nonsense", None),
    ],
)
def test_named_types(name: str, mime_type: str | None) -> None:
    assert mime_type_of(name) == mime_type


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [("mp4", "audio/mp4"), ("webm", "audio/webm"), ("wav", "audio/wav"), ("mp3", "audio/mp3"), ("opus", "audio/ogg")],
)
def test_audio_is_told_from_video(name: str, mime_type: str) -> None:
    assert mime_type_of(name, AUDIO_TYPES) == mime_type


@pytest.mark.parametrize(
    ("path", "mime_type"),
    [
        ("/a/b.png", "image/png"),
        ("b.JPEG", "image/jpeg"),
        ("a.tar.pdf", "application/pdf"),
        ("/a.png/b", None),
        ("png", None),
        ("a.", None),
        ("", None),
    ],
)
def test_types_by_extension(path: str, mime_type: str | None) -> None:
    assert type_by_name(path) == mime_type


@pytest.mark.parametrize(
    ("url", "said", "expected"),
    [
        ("data:image/png;base64,iVBO", None, Media("image/png", data="iVBO")),
        ("DATA:image/jpg;BASE64,iVBO", None, Media("image/jpeg", data="iVBO")),
        ("data:video/mp4;base64,AAAA", None, Media("video/mp4", data="AAAA")),
        ("data:image/png;base64,-_8", None, Media("image/png", data="+/8=")),
        ("data:image/png;base64,iVBO", "image/webp", Media("image/webp", data="iVBO")),
        ("data:text/plain,a%20b", None, Media("text/plain", data="YSBi")),
        # A type that was not said is for the caller to assume.
        ("data:;base64,iVBO", None, Media("", data="iVBO")),
        ("data:nonsense;base64,iVBO", None, Media("", data="iVBO")),
        ("gs://b/o.mp4", None, Media("video/mp4", uri="gs://b/o.mp4")),
        ("gs://b/o", "video/mp4", Media("video/mp4", uri="gs://b/o")),
        ("https://h/a.png?w=1.gif#x.pdf", None, Media("image/png", uri="https://h/a.png?w=1.gif#x.pdf")),
        ("HTTP://h/a.png", None, Media("image/png", uri="HTTP://h/a.png")),
        ("https://h/a.png", "image/webp", Media("image/webp", uri="https://h/a.png")),
        ("https://h/a", None, None),
        ("https://h.png", None, None),
        ("https://h/?f=a.png", None, None),
        ("gs://b/o", None, None),
    ],
)
def test_urls(url: str, said: str | None, expected: Media | None) -> None:
    assert from_url(url, said, "p") == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "iVBORw0KGgo=",
        "ftp://h/a.png",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//h/a.png",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,i",
        "data:image/png;base64,i!!!",
        "data:text/plain,",
        "http://[/a.png",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_url(url, None, "messages[0].x")
    assert caught.value.param == "messages[0].x"


@given(
    st.builds(
        str.__add__, st.sampled_from(["", "data:", "data:a/b;base64,", "data:a/b,", "http://", "gs://"]), st.text()
    )
)
def test_any_url(url: str) -> None:
    try:
        found = from_url(url, None, "p")
    except InvalidRequest:
        return
    assert found is None or (found.uri == url) != bool(found.data)


@given(
    raw=st.binary(min_size=1), url_safe=st.booleans(), padded=st.booleans(), gap=st.sampled_from(["", "\n", " \r\n"])
)
def test_base64_in_every_form(raw: bytes, url_safe: bool, padded: bool, gap: str) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(raw).decode()
    text = text if padded else text.rstrip("=")
    # `base64 file` breaks lines, and ends the last one.
    assert base64_of(gap.join([text[:3], text[3:], ""]), "p") == base64.b64encode(raw).decode()


@given(st.text(max_size=12) | st.text("AZaz09+/-_= \n", max_size=12))
def test_any_base64(text: str) -> None:
    try:
        encoded = base64_of(text, "p")
    except InvalidRequest:
        return
    assert base64.b64decode(encoded, validate=True)
    assert len(encoded) % 4 == 0


def test_base64_that_is_right_is_not_copied() -> None:
    text = "A" * 4_000
    assert base64_of(text, "p") is text


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\x89PNG\r\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_images_by_their_first_bytes(data: bytes, mime_type: str | None) -> None:
    assert image_type(data) == mime_type
