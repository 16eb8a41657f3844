import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Json
from addons.translation.embeddings import BATCH_BYTES
from addons.translation.embeddings import Action
from addons.translation.embeddings import EmbeddingRequest
from addons.translation.embeddings import action_of
from addons.translation.embeddings import read_answers
from addons.translation.embeddings import read_request
from addons.translation.embeddings import write_requests
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import check_request

BATCHED = "text-embedding-005"
CLASSIC = "gemini-embedding-001"
NEW = "gemini-embedding-2-preview"


def read(model: object = BATCHED, input: object = "a", **members: object) -> EmbeddingRequest:
    return read_request({"model": model, "input": input, **members})


def written(model: str = BATCHED, input: object = "a", **members: object) -> list[Json]:
    bodies = write_requests(read(model, input, **members))
    for body in bodies:
        check_request("POST", f"/v1/projects/p/locations/l/publishers/google/models/m:{action_of(model)}", body)
    return bodies


class TestRequests:
    @pytest.mark.parametrize(
        ("model", "action"),
        [
            ("text-embedding-004", "predict"),
            ("text-embedding-005", "predict"),
            ("text-multilingual-embedding-002", "predict"),
            ("textembedding-gecko@003", "predict"),
            ("gemini-embedding-001", "predict"),
            ("gemini-embedding-2", "embedContent"),
            ("gemini-embedding-2-preview", "embedContent"),
            ("multilingual-e5-large-instruct-maas", "embedContent"),
            ("1234567890", "predict"),
        ],
    )
    def test_actions(self, model: str, action: Action) -> None:
        assert action_of(model) == action

    @pytest.mark.parametrize(
        ("model", "members", "expected"),
        [
            (BATCHED, {}, {"instances": [{"content": "a"}]}),
            (
                BATCHED,
                {"dimensions": 64, "auto_truncate": False, "task_type": "RETRIEVAL_DOCUMENT", "title": "t"},
                {
                    "instances": [{"content": "a", "task_type": "RETRIEVAL_DOCUMENT", "title": "t"}],
                    "parameters": {"outputDimensionality": 64, "autoTruncate": False},
                },
            ),
            (CLASSIC, {"dimensions": 1}, {"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 1}}),
            (NEW, {}, {"content": {"role": "user", "parts": [{"text": "a"}]}}),
            (
                NEW,
                {"dimensions": 64, "autoTruncate": True, "taskType": "retrieval_document", "title": "t"},
                {
                    "content": {"role": "user", "parts": [{"text": "a"}]},
                    "taskType": "RETRIEVAL_DOCUMENT",
                    "title": "t",
                    "autoTruncate": True,
                    "outputDimensionality": 64,
                },
            ),
        ],
    )
    def test_bodies(self, model: str, members: Json, expected: Json) -> None:
        assert written(model, **members) == [expected]

    @pytest.mark.parametrize("name", ["task_type", "taskType", "input_type"])
    def test_names_of_the_task(self, name: str) -> None:
        assert written(**{name: "clustering"}) == [{"instances": [{"content": "a", "task_type": "CLUSTERING"}]}]

    @pytest.mark.parametrize(
        ("model", "sizes"), [(BATCHED, [250, 250, 1]), ("1234567890", [250, 250, 1]), (CLASSIC, [1] * 501)]
    )
    def test_batches(self, model: str, sizes: list[int]) -> None:
        texts = [str(number) for number in range(501)]
        bodies: list[Any] = written(model, texts)
        assert [len(body["instances"]) for body in bodies] == sizes
        assert [instance["content"] for body in bodies for instance in body["instances"]] == texts

    def test_long_texts_make_small_batches(self) -> None:
        long = "é" * (BATCH_BYTES // 4)
        bodies: list[Any] = written(BATCHED, [long, long, "a", long * 3, "b", "c"])
        assert [len(body["instances"]) for body in bodies] == [2, 1, 1, 2]

    def test_one_content_a_text(self) -> None:
        bodies: list[Any] = written(NEW, ["a", "b"])
        assert [body["content"]["parts"] for body in bodies] == [[{"text": "a"}], [{"text": "b"}]]

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"user": "u"}, ["user"]),
            ({"title": "t"}, ["title"]),
            ({"title": "t", "task_type": "CLUSTERING"}, ["title"]),
            ({"title": "", "user": None}, []),
            ({"encoding_format": None, "dimensions": None, "task_type": None}, []),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: list[str]) -> None:
        request = read(**members)
        assert request.notes.dropped == dropped
        assert request.title is None

    def test_where_to(self) -> None:
        request = read(project_id="p", region="us-central1")
        assert (request.project, request.location, request.notes.dropped) == ("p", "us-central1", [])

    @pytest.mark.parametrize(
        ("members", "param", "about"),
        [
            ({"input": ""}, "input", "not empty"),
            ({"input": []}, "input", "not empty"),
            ({"input": ["a", ""]}, "input[1]", "not empty"),
            ({"input": ["a", None]}, "input[1]", "write a string"),
            ({"input": [1, 2]}, "input", "token numbers"),
            ({"input": [[1, 2]]}, "input", "check_embedding_ctx_length"),
            ({"input": {"text": "a"}}, "input", "list of strings"),
            ({"input": None}, "input", "list of strings"),
            ({"input": ["a"] * 2049}, "input", "2048"),
            ({"model": ""}, "model", "at least 1"),
            ({"dimensions": 0}, "dimensions", "greater"),
            ({"dimensions": "64"}, "dimensions", "integer"),
            ({"dimensions": 2**31}, "dimensions", "less"),
            ({"encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
            ({"task_type": "query"}, "task_type", "'RETRIEVAL_QUERY'"),
            ({"inputType": 5, "taskType": 5}, "taskType", "'RETRIEVAL_QUERY'"),
        ],
    )
    def test_what_is_refused(self, members: Json, param: str, about: str) -> None:
        with pytest.raises(InvalidRequest, match=about) as told:
            read_request({"model": BATCHED, "input": "a", **members})
        assert (told.value.param, told.value.status) == (param, 400)

    @pytest.mark.parametrize("body", [{}, {"input": "a"}, {"model": "m"}])
    def test_what_is_no_request(self, body: Json) -> None:
        with pytest.raises(InvalidRequest):
            read_request(body)


def predicted(*vectors: object, tokens: float | None = 3.0) -> Json:
    told: Json = {} if tokens is None else {"statistics": {"token_count": tokens, "truncated": False}}
    return {"predictions": [{"embeddings": {"values": values, **told}} for values in vectors]}


def embedded(values: object, tokens: int | None = 3) -> Json:
    told: Json = {} if tokens is None else {"usageMetadata": {"promptTokenCount": tokens}}
    return {"embedding": {"values": values}, **told, "truncated": False}


def answer(request: EmbeddingRequest, *documents: object) -> Any:
    return read_answers(request, [*documents])


class TestAnswers:
    def test_of_one_batch(self) -> None:
        assert answer(read(input=["a", "b"]), predicted([0.5, -1], [0.25, 2])) == {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
                {"object": "embedding", "index": 1, "embedding": [0.25, 2]},
            ],
            "model": BATCHED,
            "usage": {"prompt_tokens": 6, "total_tokens": 6},
        }

    @pytest.mark.parametrize(
        ("model", "documents"),
        [
            (CLASSIC, [predicted([1.0]), predicted([2.0]), predicted([3.0])]),
            (NEW, [embedded([1.0]), embedded([2.0]), embedded([3.0])]),
        ],
    )
    def test_of_many_calls(self, model: str, documents: list[object]) -> None:
        told = answer(read(model, ["a", "b", "c"]), *documents)
        assert [(one["index"], one["embedding"]) for one in told["data"]] == [(0, [1.0]), (1, [2.0]), (2, [3.0])]
        assert told["usage"] == {"prompt_tokens": 9, "total_tokens": 9}

    def test_base64(self) -> None:
        told = answer(read(encoding_format="base64"), predicted([0.5, -1, 3]))
        assert told["data"][0]["embedding"] == base64.b64encode(struct.pack("<3f", 0.5, -1, 3)).decode()

    @pytest.mark.parametrize(
        ("documents", "tokens", "assumed"),
        [
            ([embedded([1], 2), embedded([1], None)], 2, []),
            ([embedded([1], None), embedded([1], None)], 0, ["usage.prompt_tokens=0"]),
            ([embedded([1], 0), embedded([1], 0)], 0, []),
            ([{"embedding": {"values": [1]}, "usage_metadata": {"prompt_token_count": "4"}}] * 2, 8, []),
        ],
    )
    def test_usage(self, documents: list[object], tokens: int, assumed: list[str]) -> None:
        request = read(NEW, ["a", "b"])
        assert answer(request, *documents)["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
        assert request.notes.assumed == assumed

    @pytest.mark.parametrize(
        "document",
        [
            *ANYTHING,
            predicted([1.0]),
            predicted([1.0], [1.0], [1.0]),
            predicted([1.0], []),
            predicted([1.0], None),
            predicted([1.0], ["1"]),
            predicted([1.0], [1e300]),
            predicted([1.0], [10**400]),
            predicted([1.0], [float("nan")]),
            predicted([1.0], [float("inf")]),
            embedded([1.0]),
        ],
    )
    def test_what_cannot_be_read(self, document: object) -> None:
        failure = answer(read(input=["a", "b"]), document)
        assert isinstance(failure, Failure)
        assert failure.status == 502

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_as_many_answers_as_calls(self, count: int) -> None:
        failure = answer(read(NEW, ["a", "b"]), *[embedded([1.0])] * count)
        assert isinstance(failure, Failure)
        assert f"{count} answers" in failure.message

    def test_an_error_inside_a_200(self) -> None:
        error = {"error": {"code": 429, "message": "Slowly.", "status": "RESOURCE_EXHAUSTED"}}
        assert answer(read(), error) == Failure(429, "Slowly.", "RESOURCE_EXHAUSTED")


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=BATCH_BYTES // 2)
vectors = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-9, 9), min_size=1)


@given(
    model=st.sampled_from([BATCHED, CLASSIC, NEW]),
    given=st.lists(texts, min_size=1, max_size=6),
    vectors=st.lists(vectors, min_size=6, max_size=6),
    as_base64=st.booleans(),
)
def test_as_many_vectors_as_texts_in_order(
    model: str, given: list[str], vectors: list[list[float]], as_base64: bool
) -> None:
    request = read(model, given, encoding_format="base64" if as_base64 else "float")
    waiting = iter(vectors)
    documents: list[object] = []
    sent: list[str] = []
    for body in write_requests(request):
        made: Any = body
        if "content" in made:
            sent += [part["text"] for part in made["content"]["parts"]]
            documents.append(embedded(next(waiting)))
        else:
            sent += [instance["content"] for instance in made["instances"]]
            documents.append(predicted(*[next(waiting) for _ in made["instances"]]))
    assert sent == given
    told = answer(request, *documents)
    read_back = [one["embedding"] for one in told["data"]]
    if as_base64:
        read_back = [[one[0] for one in struct.iter_unpack("<f", base64.b64decode(text))] for text in read_back]
    assert read_back == vectors[: len(given)]
    assert [one["index"] for one in told["data"]] == list(range(len(given)))


NAMES = "predictions embeddings values statistics token_count embedding usageMetadata promptTokenCount error".split()
near_answers = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=20,
)


@given(documents=st.lists(near_answers, max_size=2), model=st.sampled_from([BATCHED, NEW]))
def test_any_answer(documents: list[object], model: str) -> None:
    told = read_answers(read(model), documents)
    assert isinstance(told, Failure) or len(told["data"]) == 1  # type: ignore[arg-type]


MEMBERS = "model input dimensions encoding_format task_type input_type title autoTruncate auto_truncate user".split()


@given(st.dictionaries(st.sampled_from(MEMBERS), json_values | st.lists(st.text()) | st.text(min_size=1)))
def test_any_request(body: Json) -> None:
    try:
        request = read_request(body)
        written = write_requests(request)
    except InvalidRequest:
        return
    for one in written:
        check_request("POST", f"/v1/publishers/google/models/m:{action_of(request.model)}", one)
