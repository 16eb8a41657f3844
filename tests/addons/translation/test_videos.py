import base64
import json
import re
import time
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Json
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.plan import AnswerBody
from addons.translation.videos import FAMILIES
from addons.translation.videos import SIZES
from addons.translation.videos import VideoRequest
from addons.translation.videos import id_of
from addons.translation.videos import read_content
from addons.translation.videos import read_id
from addons.translation.videos import read_poll
from addons.translation.videos import read_request
from addons.translation.videos import read_submission
from addons.translation.videos import write_poll
from addons.translation.videos import write_request
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import check_request

MODEL = "veo-3.0-generate-001"
RESOURCE = f"publishers/google/models/{MODEL}"
LOCATED = f"projects/my-project/locations/us-central1/{RESOURCE}"
OPERATION = f"{LOCATED}/operations/8b3ef2c6-0000-4000-9000-9f6f0a1b2c3d"
DEFAULTS = {"sampleCount": 1, "durationSeconds": 8, "aspectRatio": "16:9", "resolution": "720p"}
PNG = b"\x89PNGfake"
FORM = "multipart/form-data; boundary=B"


def read(**members: object) -> VideoRequest:
    return read_request("application/json", json.dumps({"model": MODEL, "prompt": "cat", **members}).encode())


def form(*fields: tuple[str, bytes, str]) -> VideoRequest:
    """(name, value, what follows the name)."""
    raw = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), rest.encode(), value)
        for name, value, rest in fields
    )
    return read_request(FORM, raw + b"--B--\r\n")


def written(request: VideoRequest) -> Any:
    body = write_request(request)
    check_request("POST", f"/v1/{LOCATED}:predictLongRunning", body)
    return body


def parameters(**members: object) -> Json:
    found: Json = written(read(**members))["parameters"]
    return found


class TestRequests:
    def test_least(self) -> None:
        request = read()
        assert written(request) == {"instances": [{"prompt": "cat"}], "parameters": DEFAULTS}
        assert request.notes.assumed == ["seconds=8", "size=1280x720"]
        assert request.notes.dropped == []

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ("1280x720", {"aspectRatio": "16:9", "resolution": "720p"}),
            ("720x1280", {"aspectRatio": "9:16", "resolution": "720p"}),
            ("1920x1080", {"aspectRatio": "16:9", "resolution": "1080p"}),
            ("1080x1920", {"aspectRatio": "9:16", "resolution": "1080p"}),
            ("1792x1024", {"aspectRatio": "16:9"}),
            ("1024x1792", {"aspectRatio": "9:16"}),
        ],
    )
    def test_sizes(self, size: str, expected: Json) -> None:
        assert parameters(size=size) == {"sampleCount": 1, "durationSeconds": 8, **expected}
        assert read(size=size).size == size

    @pytest.mark.parametrize(
        ("members", "expected", "size"),
        [
            ({"aspectRatio": "9:16"}, {"aspectRatio": "9:16"}, "720x1280"),
            (
                {"aspect_ratio": "9:16", "resolution": "1080p"},
                {"aspectRatio": "9:16", "resolution": "1080p"},
                "1080x1920",
            ),
            ({"size": "1280x720", "resolution": "1080p"}, {"resolution": "1080p"}, "1920x1080"),
            ({"size": "1792x1024", "aspectRatio": "16:9"}, {"resolution": None}, "1792x1024"),
            ({"aspectRatio": "1:1"}, {"aspectRatio": "1:1"}, "1280x720"),
        ],
    )
    def test_veos_own_words_win(self, members: Json, expected: Json, size: str) -> None:
        wanted = {name: value for name, value in (DEFAULTS | expected).items() if value}
        assert parameters(**members) == wanted
        assert read(**members).size == size

    @pytest.mark.parametrize("seconds", [4, "4", 4.0])
    @pytest.mark.parametrize("name", ["seconds", "durationSeconds", "duration_seconds"])
    def test_seconds(self, name: str, seconds: object) -> None:
        request = read(**{name: seconds})
        assert written(request)["parameters"]["durationSeconds"] == 4
        assert "seconds=8" not in request.notes.assumed

    def test_what_is_passed_on(self) -> None:
        snake = {
            "negative_prompt": "dog",
            "generate_audio": False,
            "person_generation": "allow_adult",
            "seed": 0,
            "storage_uri": "gs://b/o/",
            "enhance_prompt": True,
            "fps": 24,
            "compression_quality": "lossless",
            "resize_mode": "pad",
        }
        camel = {re.sub("_(.)", lambda match: match[1].upper(), name): value for name, value in snake.items()}
        assert parameters(**snake) == parameters(**camel) == DEFAULTS | camel

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"user": "u", "remix": None}, ["user"]),
            ({"n": 1, "sampleCount": 1}, []),
            ({"n": 2, "sampleCount": 3}, ["n", "sampleCount"]),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: list[str]) -> None:
        request = read(**members)
        assert request.notes.dropped == dropped
        assert written(request)["parameters"] == DEFAULTS

    def test_where_to(self) -> None:
        request = read(project_id="p", region="us-central1")
        assert (request.project, request.location, request.notes.dropped) == ("p", "us-central1", [])

    @pytest.mark.parametrize(
        ("model", "members", "param", "about"),
        [
            (MODEL, {"seconds": 5}, "seconds", "videos of 4, 6 or 8 seconds"),
            (MODEL, {"seconds": "12"}, "seconds", "videos of 4, 6 or 8 seconds"),
            ("veo-2.0-generate-001", {"seconds": "4"}, "seconds", "videos of 5, 6, 7 or 8 seconds"),
            ("veo-2.0-generate-001", {"size": "1920x1080"}, "size", "videos in 720p"),
            (MODEL, {"size": "3840x2160"}, "size", "videos in 720p or 1080p"),
        ],
    )
    def test_what_the_model_cannot_do(self, model: str, members: Json, param: str, about: str) -> None:
        with pytest.raises(InvalidRequest, match=about) as told:
            write_request(read(model=model, **members))
        assert told.value.param == param

    @pytest.mark.parametrize(
        ("model", "members", "expected"),
        [
            ("veo-2.0-generate-001", {"seconds": "5"}, {"durationSeconds": 5, "resolution": None}),
            ("veo-2.0-generate-001", {"size": "720x1280"}, {"aspectRatio": "9:16", "resolution": None}),
            ("veo-3.1-generate-001", {"size": "2160x3840"}, {"aspectRatio": "9:16", "resolution": "4k"}),
            ("veo-9", {"seconds": 30}, {"durationSeconds": 30}),
            ("1234567890", {"seconds": 7}, {"durationSeconds": 7}),
        ],
    )
    def test_what_other_models_do(self, model: str, members: Json, expected: Json) -> None:
        wanted = {name: value for name, value in (DEFAULTS | expected).items() if value}
        assert parameters(model=model, **members) == wanted

    @pytest.mark.parametrize(
        ("members", "param", "about"),
        [
            ({"prompt": None}, "prompt", "what the video should show"),
            ({"prompt": ""}, "prompt", "what the video should show"),
            ({"prompt": 5}, "prompt", "string"),
            ({"model": ""}, "model", "at least 1"),
            ({"size": "640x480"}, "size", "1280x720, 720x1280"),
            ({"seconds": 0}, "seconds", "greater"),
            ({"seconds": "8s"}, "seconds", "integer"),
            ({"seed": -1}, "seed", "greater"),
            ({"storageUri": "https://h/"}, "storageUri", "gs://"),
            ({"input_reference": {"file_id": "f"}}, "input_reference", "send the image itself"),
            ({"input_reference": {}}, "input_reference", "send the image itself"),
            ({"input_reference": ""}, "input_reference", "send the image itself"),
            ({"input_reference": "https://h/a.png"}, "input_reference.image_url", "does not load"),
            ({"input_reference": "data:;base64,iVBO"}, "input_reference.image_url", "type is unknown"),
            ({"input_reference": "gs://b/o"}, "input_reference.image_url", "type is unknown"),
            ({"input_reference": "gs://b/o.mp4"}, "input_reference.image_url", "type is unknown"),
            ({"input_reference": "iVBO"}, "input_reference.image_url", "gs://"),
            ({"input_reference": 5}, "input_reference", "dictionary"),
        ],
    )
    def test_what_is_refused(self, members: Json, param: str, about: str) -> None:
        with pytest.raises(InvalidRequest, match=about) as told:
            read(**members)
        assert (told.value.param, told.value.status) == (param, 400)

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"{}", b'{"prompt": "cat"}', b"\xff", b'{"a": NaN}'])
    def test_what_is_no_request(self, raw: bytes) -> None:
        with pytest.raises(InvalidRequest):
            read_request("application/json", raw)


INLINE = {"bytesBase64Encoded": "iVBO", "mimeType": "image/png"}


class TestImages:
    @pytest.mark.parametrize(
        ("reference", "image"),
        [
            ("data:image/png;base64,iVBO", INLINE),
            ({"image_url": "data:image/png;base64,iVBO"}, INLINE),
            ({"image_url": {"url": "data:image/png;base64,iVBO"}}, INLINE),
            ({"image_url": "data:;base64,iVBO", "mimeType": "image/png"}, INLINE),
            ({"image_url": "gs://b/o.jpg"}, {"gcsUri": "gs://b/o.jpg", "mimeType": "image/jpeg"}),
            ({"image_url": "gs://b/o", "mime_type": "image/png"}, {"gcsUri": "gs://b/o", "mimeType": "image/png"}),
        ],
    )
    def test_in_json(self, reference: object, image: Json) -> None:
        assert written(read(input_reference=reference))["instances"] == [{"prompt": "cat", "image": image}]
        assert written(read(input_reference=reference, prompt=None))["instances"] == [{"image": image}]

    @pytest.mark.parametrize(
        ("rest", "value", "mime_type"),
        [
            ('; filename="a.png"\r\nContent-Type: image/png', PNG, "image/png"),
            ('; filename="upload"\r\nContent-Type: application/octet-stream', PNG, "image/png"),
            ('; filename="upload"', b"\xff\xd8\xff\xe0", "image/jpeg"),
            ('; filename="a.webp"', b"RIFF", "image/webp"),
            ('; filename="a.png"\r\nContent-Type: image/jpg', PNG, "image/jpeg"),
        ],
    )
    def test_in_a_form(self, rest: str, value: bytes, mime_type: str) -> None:
        request = form(("model", MODEL.encode(), ""), ("input_reference", value, rest))
        image = {"bytesBase64Encoded": base64.b64encode(value).decode(), "mimeType": mime_type}
        assert written(request)["instances"] == [{"image": image}]

    @pytest.mark.parametrize(("value", "about"), [(b"GIF", "type is unknown"), (b"", "is empty")])
    def test_what_is_none(self, value: bytes, about: str) -> None:
        with pytest.raises(InvalidRequest, match=about):
            form(("model", b"m", ""), ("input_reference", value, '; filename="a"'))


class TestForms:
    def test_texts_of_every_type(self) -> None:
        """As openai-python sends them, `extra_body` too."""
        request = form(
            ("prompt", "cat é".encode(), ""),
            ("model", MODEL.encode(), ""),
            ("seconds", b"6", ""),
            ("size", b"720x1280", ""),
            ("negativePrompt", b"dog", ""),
            ("generateAudio", b"false", ""),
            ("seed", b"3", ""),
            ("n", b"1", ""),
            ("user", b"u", ""),
            ("input_reference[image_url]", b"data:image/png;base64,iVBO", ""),
        )
        assert written(request) == {
            "instances": [{"prompt": "cat é", "image": INLINE}],
            "parameters": {
                "sampleCount": 1,
                "durationSeconds": 6,
                "aspectRatio": "9:16",
                "resolution": "720p",
                "negativePrompt": "dog",
                "generateAudio": False,
                "seed": 3,
            },
        }
        assert request.notes.dropped == ["user"]

    def test_other_files_are_named(self) -> None:
        request = form(("model", b"m", ""), ("prompt", b"cat", ""), ("mask", PNG, '; filename="a.png"'))
        assert request.notes.dropped == ["mask"]
        assert request.image is None

    @pytest.mark.parametrize(
        ("name", "value"), [("prompt", b"\xff"), ("generateAudio", b"loud"), ("input_reference[a]", b"\xff")]
    )
    def test_what_cannot_be_read(self, name: str, value: bytes) -> None:
        with pytest.raises(InvalidRequest) as told:
            form(("model", b"m", ""), ("prompt", b"cat", ""), (name, value, ""))
        assert told.value.param == name

    def test_a_text_and_members_of_it(self) -> None:
        request = form(("model", b"m", ""), ("prompt", b"cat", ""), ("x", b"1", ""), ("x[y]", b"2", ""))
        assert request.notes.dropped == ["x"]


class TestIds:
    @pytest.mark.parametrize(
        ("operation", "resource", "model", "project", "location"),
        [
            (OPERATION, RESOURCE, MODEL, "my-project", "us-central1"),
            (f"{RESOURCE}/operations/7", RESOURCE, MODEL, None, None),
            (
                "projects/123/locations/global/endpoints/456/operations/7",
                "endpoints/456",
                "456",
                "123",
                "global",
            ),
            (
                "projects/example.com:p/locations/eu/publishers/x/models/v@1/operations/a_b",
                "publishers/x/models/v@1",
                "v@1",
                "example.com:p",
                "eu",
            ),
        ],
    )
    def test_there_and_back(
        self, operation: str, resource: str, model: str, project: str | None, location: str | None
    ) -> None:
        id = id_of(operation, 6, "720x1280", 1767323045)
        assert re.fullmatch(r"video_[A-Za-z0-9_-]+", id)
        read_back = read_id(id)
        assert read_back == (operation, resource, model, project, location, 6, "720x1280", 1767323045)
        assert write_poll(read_back) == {"operationName": operation}

    def test_a_poll_is_googles(self) -> None:
        id = read_id(id_of(OPERATION))
        check_request(
            "POST",
            f"/v1/projects/{id.project}/locations/{id.location}/{id.resource}:fetchPredictOperation",
            write_poll(id),
        )

    def test_they_are_short(self) -> None:
        assert len(id_of(OPERATION)) < len(OPERATION) + 40

    @pytest.mark.parametrize(
        "operation",
        [
            "",
            "operations/1",
            f"{RESOURCE}/operations/",
            f"{RESOURCE}/operations/../x",
            f"{RESOURCE}/operations/a/b",
            f"{RESOURCE}/operations/a?b",
            f"{RESOURCE}/operations/a\n",
            f"/{OPERATION}",
            OPERATION.replace("my-project", "../x"),
            OPERATION.replace("my-project", ".."),
            OPERATION.replace("us-central1", "evil.com#"),
            OPERATION.replace("us-central1", "US"),
            OPERATION.replace("google", "goo gle"),
            OPERATION.replace(MODEL, ".."),
            OPERATION.replace(MODEL, "a%2fb"),
            OPERATION.replace(MODEL, "vé"),
            "projects/1/locations/l/endpoints/abc/operations/1",
            "projects/1/locations/l/endpoints/٣/operations/1",
        ],
    )
    def test_names_that_lead_elsewhere(self, operation: str) -> None:
        refused(id_of(operation))
        assert isinstance(read_submission(read(), {"name": operation}), Failure)

    @pytest.mark.parametrize(
        "id",
        [
            "",
            "video_",
            "video_123",
            "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5",
            id_of(OPERATION).removeprefix("video_"),
            id_of(OPERATION) + "=",
            id_of(OPERATION) + "!",
            id_of(OPERATION)[:-1],
            id_of(OPERATION, created=-1),
            id_of(OPERATION, size="a|b"),
            "video_é",
        ],
    )
    def test_ids_of_others(self, id: str) -> None:
        refused(id)


def refused(id: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        read_id(id)
    assert told.value.status == 404


def done(**response: object) -> Json:
    return {"name": OPERATION, "done": True, "response": response}


VIDEO = {"bytesBase64Encoded": base64.b64encode(b"video").decode(), "mimeType": "video/mp4"}
STORED = {"gcsUri": "gs://b/o/1.mp4", "mimeType": "video/mp4"}
FILTERED = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["It shows", 5, "a child."]}
ID = read_id(id_of(OPERATION, 6, "720x1280", 1767323045))


class TestAnswers:
    def test_a_submission(self) -> None:
        before = int(time.time())
        told: Any = read_submission(read(seconds="6", size="720x1280"), {"name": OPERATION})
        assert before <= told["created_at"] <= int(time.time())
        assert told == {
            "id": id_of(OPERATION, 6, "720x1280", told["created_at"]),
            "object": "video",
            "created_at": told["created_at"],
            "status": "queued",
            "progress": 0,
            "model": MODEL,
            "prompt": "cat",
            "seconds": "6",
            "size": "720x1280",
        }

    def test_a_refused_submission(self) -> None:
        error = {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}
        assert read_submission(read(), error) == Failure(400, "No.", "INVALID_ARGUMENT")

    @pytest.mark.parametrize("document", [*ANYTHING, {"name": 5}])
    def test_a_submission_that_cannot_be_read(self, document: object) -> None:
        assert isinstance(read_submission(read(), document), Failure)

    @pytest.mark.parametrize(
        ("document", "expected"),
        [
            ({"name": OPERATION}, {"status": "in_progress", "progress": 0}),
            ({}, {"status": "in_progress", "progress": 0}),
            ({"name": OPERATION, "done": False}, {"status": "in_progress", "progress": 0}),
            ({**done(videos=[VIDEO]), "done": None}, {"status": "in_progress", "progress": 0}),
            (done(videos=[VIDEO]), {"status": "completed", "progress": 100}),
            (done(videos=[STORED], raiMediaFilteredCount=0), {"status": "completed", "progress": 100}),
            (done(videos=[VIDEO], rai_media_filtered_count=1), {"status": "completed", "progress": 100}),
            (
                done(**FILTERED),
                {"status": "failed", "error": {"code": "content_filtered", "message": "It shows a child."}},
            ),
            (
                done(rai_media_filtered_count="2"),
                {"status": "failed", "error": {"code": "content_filtered", "message": "The video was filtered."}},
            ),
            (
                done(),
                {
                    "status": "failed",
                    "error": {"code": "no_video", "message": "No video was made, and no reason was given."},
                },
            ),
            (
                {"name": OPERATION, "done": True, "error": {"code": 3, "message": "No."}},
                {"status": "failed", "error": {"code": "invalid_argument", "message": "No."}},
            ),
            (
                {"name": OPERATION, "done": True, "error": {"status": "INTERNAL", "message": "No."}},
                {"status": "failed", "error": {"code": "internal", "message": "No."}},
            ),
        ],
    )
    def test_polls(self, document: object, expected: Json) -> None:
        job = {
            "id": id_of(OPERATION, 6, "720x1280", 1767323045),
            "object": "video",
            "created_at": 1767323045,
            "progress": 0,
            "model": MODEL,
            "seconds": "6",
            "size": "720x1280",
        }
        assert read_poll(ID, document) == job | expected

    @pytest.mark.parametrize("document", [None, [], 5, "text", {"error": {"code": 404, "message": "No."}}])
    def test_polls_that_fail(self, document: object) -> None:
        assert isinstance(read_poll(ID, document), Failure)
        assert isinstance(read_content(document), Failure)

    @pytest.mark.parametrize(
        ("video", "mime_type"),
        [
            (VIDEO, "video/mp4"),
            ({**VIDEO, "mimeType": "video/webm"}, "video/webm"),
            ({**VIDEO, "mimeType": "text/html"}, "video/mp4"),
            ({**VIDEO, "mimeType": "video/mp4\r\nx: y"}, "video/mp4"),
            ({"bytes_base64_encoded": VIDEO["bytesBase64Encoded"]}, "video/mp4"),
            ({**VIDEO, **{"gcsUri": "gs://b/o"}}, "video/mp4"),
        ],
    )
    def test_the_video(self, video: object, mime_type: str) -> None:
        assert read_content(done(videos=[video, 5])) == AnswerBody(mime_type, b"video")

    @pytest.mark.parametrize(
        ("document", "status", "about"),
        [
            ({"name": OPERATION}, 400, "not ready yet"),
            (done(**FILTERED), 400, "It shows a child."),
            (done(videos=[STORED]), 400, "gs://b/o/1.mp4"),
            (done(videos=[{}]), 502, "no video"),
            (done(videos=[{"bytesBase64Encoded": "!"}]), 502, "cannot be read"),
            (done(videos=[{"bytesBase64Encoded": "é"}]), 502, "cannot be read"),
        ],
    )
    def test_no_video_to_give(self, document: object, status: int, about: str) -> None:
        failure = read_content(document)
        assert isinstance(failure, Failure)
        assert failure.status == status
        assert about in failure.message


NAMES = "name done response videos bytesBase64Encoded gcsUri mimeType error code status message".split()
near_answers = st.recursive(
    json_values | st.just(OPERATION) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=20,
)
STATUSES = ("queued", "in_progress", "completed", "failed")


@given(near_answers)
def test_any_answer(document: object) -> None:
    for job in (read_submission(read(), document), read_poll(ID, document)):
        assert isinstance(job, Failure) or job["status"] in STATUSES
    content = read_content(document)
    assert isinstance(content, Failure) or content.mime_type.startswith("video/")


MEMBERS = "prompt model seconds size input_reference aspectRatio seed generateAudio storage_uri n".split()
GIVEN = st.sampled_from([*SIZES, *(family.name for family in FAMILIES), "8", "5", "gs://b/o.png", "data:image/png,a"])


@given(
    members=st.dictionaries(
        st.sampled_from(MEMBERS),
        json_values | GIVEN | st.fixed_dictionaries({"image_url": json_values | GIVEN}),
    )
)
def test_any_json(members: Json) -> None:
    try:
        request = read(**members)
        body = write_request(request)
    except InvalidRequest:
        return
    check_request("POST", f"/v1/{LOCATED}:predictLongRunning", body)
    assert body["instances"] != [{}]


form_fields = st.tuples(
    st.sampled_from([*MEMBERS, "input_reference[image_url]"]),
    st.binary() | GIVEN.map(str.encode),
    st.sampled_from(["", '; filename="a.png"']),
)


@given(st.lists(form_fields))
@example([("model", b"veo-3", ""), ("prompt", b"cat", ""), ("seconds", b"8", "")])
def test_any_form(fields: list[tuple[str, bytes, str]]) -> None:
    try:
        body = written(form(*fields))
    except InvalidRequest:
        return
    assert body["instances"] != [{}]


@given(st.sampled_from(["", "application/json", FORM, "multipart/mixed"]), st.binary())
def test_any_body(content_type: str, raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_request(content_type, raw)


@given(
    st.text()
    | st.text().map(lambda text: "video_" + text)
    | st.binary().map(lambda raw: "video_" + base64.urlsafe_b64encode(raw).decode().rstrip("="))
)
@example("video_\ud800")
def test_any_id(id: str) -> None:
    refused(id)
