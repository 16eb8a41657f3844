import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.paths import GEMINI_HOST
from metering.paths import TEMPLATES
from metering.paths import Api
from metering.paths import Template
from metering.paths import api_of
from metering.paths import build
from metering.paths import parse
from metering.paths import vertex_host

P = "/v1/projects/p/locations/us-central1"

PATHS = [
    # method, path, surface, operation, publisher, model
    (
        "POST",
        "/v1beta1/publishers/google/models/g:generateContent",
        "vertex",
        "generateContent",
        "google",
        "g",
    ),
    ("POST", f"{P}/publishers/google/models/g:countTokens", "vertex", "countTokens", "google", "g"),
    (
        "POST",
        f"{P}/publishers/anthropic/models/c@2024:rawPredict",
        "vertex",
        "rawPredict",
        "anthropic",
        "c@2024",
    ),
    ("POST", "/publishers/google/models/g:generateContent", "vertex", "generateContent", "google", "g"),
    ("POST", "/v1/publishers/googleVertexAI/models/g:predict", "vertex", "predict", "google", "g"),
    ("POST", f"{P}/endpoints/123:generateContent", "vertex", "generateContent", None, None),
    ("POST", f"{P}/models/tuned:generateContent", "vertex", "generateContent", None, "tuned"),
    ("POST", "/v1beta1/models/g:generateContent", "vertex", "generateContent", None, "g"),
    ("POST", f"{P}/publishers/x/models/m/invoke/v1/chat", "vertex", "invoke", "x", "m"),
    ("POST", f"{P}/endpoints/openapi/chat/completions", "vertex-openai", "chat/completions", None, None),
    ("POST", f"{P}/endpoints/123/chat/completions", "vertex-openai", "chat/completions", None, None),
    ("POST", f"{P}/endpoints/openapi/responses", "vertex-openai", "responses", None, None),
    ("POST", f"{P}/publishers/xai/v1/responses/compact", "vertex-openai", "responses/compact", "xai", None),
    ("POST", f"{P}/cachedContents", "vertex", "cachedContents.create", None, None),
    ("GET", f"{P}/cachedContents", "vertex", "cachedContents.list", None, None),
    ("GET", f"{P}/cachedContents/7", "vertex", "cachedContents.get", None, None),
    ("PATCH", f"{P}/cachedContents/7", "vertex", "cachedContents.update", None, None),
    ("DELETE", f"{P}/cachedContents/7", "vertex", "cachedContents.delete", None, None),
    ("GET", "/v1beta1/publishers/google/models", "vertex", "models.list", "google", None),
    ("GET", "/v1beta1/publishers/google/models/g", "vertex", "models.get", "google", "g"),
    ("GET", f"{P}/models", "vertex", "models.list", None, None),
    ("GET", f"{P}/operations/77", "vertex", "operations.get", None, None),
    ("GET", f"{P}/publishers/google/models/veo/operations/7-7", "vertex", "operations.get", "google", "veo"),
    ("POST", f"{P}/operations/77:cancel", "vertex", "operations.cancel", None, None),
    ("GET", "/v1beta1/operations/77", "vertex", "operations.get", None, None),
    ("POST", f"{P}/endpoints/9/deployedModels/3/invoke/x/y", "vertex", "invoke", None, None),
    ("GET", f"{P}/endpoints/9/operations/77", "vertex", "operations.get", None, None),
    ("POST", f"{P}/batchPredictionJobs", "vertex", "batchPredictionJobs.create", None, None),
    ("POST", f"{P}/interactionsHttp", "vertex", "interactions.create", None, None),
    ("POST", f"{P}/interactions:createStream", "vertex", "interactions.createStream", None, None),
    (
        "POST",
        "/google.cloud.aiplatform.v1.PredictionService/StreamGenerateContent",
        "vertex",
        "streamGenerateContent",
        None,
        None,
    ),
    (
        "GET",
        "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
        "vertex-live",
        "BidiGenerateContent",
        None,
        None,
    ),
    (
        "GET",
        "//ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
        "vertex-live",
        "BidiGenerateContent",
        None,
        None,
    ),
    ("POST", "/v1beta/models/g:streamGenerateContent", "gemini", "streamGenerateContent", None, "g"),
    ("POST", "/v1/models/g:generateContent", "gemini", "generateContent", None, "g"),
    ("PUT", "/v1beta/models/g:generateContent", "gemini", "generateContent", None, "g"),
    ("GET", "/v1beta/models", "gemini", "models.list", None, None),
    ("GET", "/v1beta/models/g", "gemini", "models.get", None, "g"),
    ("GET", "/v1beta/models/veo/operations/1", "gemini", "operations.get", None, "veo"),
    ("POST", "/v1beta/cachedContents", "gemini", "cachedContents.create", None, None),
    (
        "GET",
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "gemini",
        "BidiGenerateContent",
        None,
        None,
    ),
    ("POST", "/upload/v1beta/files", "gemini", "files.create", None, None),
    ("PUT", "/upload/v1/files", "gemini", "files.create", None, None),
    (
        "POST",
        "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
        "gemini",
        "fileSearchStores.uploadToFileSearchStore",
        None,
        None,
    ),
    ("POST", "/v1beta/openai/chat/completions", "openai", "chat/completions", None, None),
    ("POST", "/v1/chat/completions", "openai", "chat/completions", None, None),
    ("POST", "/v1/responses", "openai", "responses", None, None),
    ("GET", "/v1/responses/resp_1/input_items", "openai", "responses/input_items", None, None),
    ("POST", "/v1/images/edits", "openai", "images/edits", None, None),
    ("GET", "/v1/videos/video_1", "openai", "videos", None, None),
    ("GET", "/v1/videos/video_1/content", "openai", "videos/content", None, None),
    ("GET", "/v1/models", "openai", "models", None, None),
    ("GET", "/v1/models/gpt-4o", "openai", "models", None, "gpt-4o"),
    ("POST", "/v1/files", "openai", "files", None, None),
    # Without a version, as clients send them whose api_version is empty or whose base_url lacks it.
    ("POST", "/models/g:generateContent", "gemini", "generateContent", None, "g"),
    ("POST", "/tunedModels/t:streamGenerateContent", "gemini", "streamGenerateContent", None, "t"),
    ("POST", "/projects/p/locations/l/publishers/google/models/g:predict", "vertex", "predict", "google", "g"),
    ("POST", "/projects/p/locations/l/endpoints/7:predict", "vertex", "predict", None, None),
    ("POST", "/projects/p/locations/l/cachedContents", "vertex", "cachedContents.create", None, None),
    # Versions that may come.
    ("POST", "/v2/models/g:generateContent", "gemini", "generateContent", None, "g"),
    ("POST", "/v1alpha/models/g:embedContent", "gemini", "embedContent", None, "g"),
    # Some clients write the colon as %3A.
    ("POST", "/v1beta/models/g%3AgenerateContent", "gemini", "generateContent", None, "g"),
    ("POST", "/models/g%3agenerateContent", "gemini", "generateContent", None, "g"),
    ("POST", f"{P}/publishers/google/models/g%3ApredictLongRunning", "vertex", "predictLongRunning", "google", "g"),
    ("POST", f"{P}/operations/77%3Acancel", "vertex", "operations.cancel", None, None),
    ("POST", "/v1/messages", "anthropic", "messages", None, None),
    ("POST", "/v1/messages/count_tokens", "anthropic", "messages/count_tokens", None, None),
    ("POST", "/v1/messages/batches", "anthropic", None, None, None),
    ("GET", "/v1/models/ft:gpt-4o:acme::Abc", "openai", "models", None, "ft:gpt-4o:acme::Abc"),
    ("POST", "/v1beta1/cachedContents", "vertex", "cachedContents.create", None, None),
    ("GET", "/v1beta1/tuningJobs/7", "vertex", "tuningJobs.get", None, None),
    ("GET", "/v1beta1/models", "vertex", "models.list", None, None),
    ("POST", f"{P}/reasoningEngines/5:query", "vertex", None, None, None),
    ("POST", f"{P}:retrieveContexts", "vertex", None, None, None),
    ("GET", "/v1beta/fileSearchStores", "gemini", None, None, None),
]


@pytest.mark.parametrize("base", ["", "/vertex", "/api/vertex-ai"])
@pytest.mark.parametrize(("method", "path", "surface", "operation", "publisher", "model"), PATHS)
def test_parse_and_build(
    base: str, method: str, path: str, surface: str, operation: str | None, publisher: str | None, model: str | None
) -> None:
    target = parse(method, base + path)
    assert target
    assert (target.base, target.surface, target.operation) == (base, surface, operation)
    # Gemini's host speaks OpenAI's dialect too.
    assert target.api == ("gemini" if path.startswith("/v1beta/openai/") else surface.partition("-")[0])
    assert (target.publisher, target.fields.get("model")) == (publisher, model)
    assert build(target.template, target.base, **target.fields) == base + path.replace("%3A", ":").replace("%3a", ":")


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/chat/completions", "chat/completions"),
        ("/images/generations", "images/generations"),
        ("/models", "models"),
        ("/models/g", "models"),
        ("/x/images/generations", None),
        ("/x/models", None),
    ],
)
def test_a_base_url_without_the_version(path: str, operation: str | None) -> None:
    """Behind a base path that nobody configured it would be anybody's."""
    target = parse("POST", path)
    assert (target and target.operation) == operation


def test_operations_of_gemini_without_the_version() -> None:
    target = parse("GET", "/tunedModels/t/operations/1")
    assert target
    assert (target.api, target.surface, target.operation) == ("gemini", "gemini", "operations.get")


@pytest.mark.parametrize("project", ["p", "example.com:my-project", "example.com%3Amy-project"])
def test_projects_of_a_domain(project: str) -> None:
    for rest in ("publishers/google/models/g:predict", "endpoints/1:predict", "cachedContents"):
        target = parse("POST", f"/v1/projects/{project}/locations/us-central1/{rest}")
        assert target
        assert (target.base, target.fields["project"]) == ("", project.replace("%3A", ":"))


@pytest.mark.parametrize("path", ["/v1/projects/a/b/locations/us/publishers/google/models/g:predict"])
def test_a_project_is_no_base_path(path: str) -> None:
    assert parse("POST", path) is None


BARE = [
    ("POST", "/images/edits", "openai", "images/edits"),
    ("GET", "/models/g", "openai", "models"),
    ("GET", "/tunedModels", "gemini", "models.list"),
    ("GET", "/tunedModels/t/operations/1", "gemini", "operations.get"),
    ("POST", "/cachedContents", "gemini", "cachedContents.create"),
]
"""Paths that are known only where nothing stands before them."""


@pytest.mark.parametrize(("method", "path", "surface", "operation"), BARE)
def test_paths_that_take_no_base(method: str, path: str, surface: str, operation: str) -> None:
    target = parse(method, path)
    assert target
    assert (target.base, target.surface, target.operation) == ("", surface, operation)
    assert build(target.template, **target.fields) == path
    assert parse(method, f"/other{path}") is None


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/files:import"), ("GET", "/v1/batches/b:cancel"), ("GET", "/files/f:download")]
)
def test_a_verb_after_a_colon_is_googles(method: str, path: str) -> None:
    target = parse(method, path)
    assert target
    assert target.surface == "gemini"


# OpenAI's API reference.
OPENAI = """
    chat/completions completions responses responses/{}/cancel responses/compact responses/input_tokens
    responses/{}/input_items conversations conversations/{}/items embeddings images/generations images/edits
    images/variations audio/speech audio/transcriptions audio/translations videos videos/{}/content videos/{}/remix
    moderations realtime/client_secrets realtime/sessions batches batches/{}/cancel files files/{}/content uploads
    uploads/{}/parts uploads/{}/complete fine_tuning/jobs fine_tuning/jobs/{}/events fine_tuning/jobs/{}/checkpoints
    vector_stores vector_stores/{}/search vector_stores/{}/file_batches vector_stores/{}/files assistants threads
    threads/{}/messages threads/{}/runs threads/{}/runs/{}/steps containers containers/{}/files
""".split()


@pytest.mark.parametrize("path", OPENAI)
def test_words_and_ids_of_openai(path: str) -> None:
    """An operation has the words of a path, not its ids."""
    target = parse("POST", f"/v1/{path.replace('{}', 'id_1')}")
    assert target
    assert (target.surface, target.operation) == ("openai", path.replace("/{}", ""))


@pytest.mark.parametrize(
    "resource",
    ["cachedContents", "operations", "batchPredictionJobs", "tuningJobs", "interactions", "batches", "files"],
)
@pytest.mark.parametrize(
    ("method", "name", "verb"),
    [
        ("POST", "", "create"),
        ("GET", "", "list"),
        ("GET", "/7", "get"),
        ("PATCH", "/7", "update"),
        ("PUT", "/7", "update"),
        ("DELETE", "/7", "delete"),
        ("POST", "/7:cancel", "cancel"),
        ("HEAD", "/7", "head"),
    ],
)
def test_what_is_done_with_a_resource(resource: str, method: str, name: str, verb: str) -> None:
    target = parse(method, f"{P}/{resource}{name}")
    assert target
    assert target.operation == f"{resource}.{verb}"


def test_every_template_is_used() -> None:
    paths = [(row[0], row[1]) for row in PATHS] + [(row[0], row[1]) for row in BARE]
    parsed = {target.template for method, path in paths if (target := parse(method, path))}
    assert parsed == {template.path for template in TEMPLATES}


@pytest.mark.parametrize(
    "path", ["/", "", "*", "/favicon.ico", "/v1", "/v1/nothing", "/v1beta1/projects/p", "/-/health"]
)
def test_unknown_paths(path: str) -> None:
    assert parse("GET", path) is None


def test_a_host_narrows_the_search() -> None:
    narrowed = parse("GET", "/v1/models", "gemini")
    assert narrowed
    assert narrowed.operation == "models.list"
    assert parse("GET", "/v1/models", "vertex") is None


_segment = st.text(st.characters(codec="utf-8", exclude_characters="/:?#%"), min_size=1, max_size=12)


@given(template=st.sampled_from(TEMPLATES), segment=_segment)
def test_what_was_built_parses_back(template: Template, segment: str) -> None:
    fields = {
        "publisher": segment,
        "project": segment,
        "endpoint": segment,
        "id": segment,
        "owner": "x",
        "owned": "y",
    }
    fields |= {"location": "us-central1", "model": "m", "action": "predict", "verb": "cancel", "rest": "r"}
    fields |= {
        "openai": "chat/completions",
        "resource": "cachedContents",
        "collection": "models",
        "slashes": "/",
    }
    fields |= {"rpc": "BidiGenerateContent", "rpc_service": "PredictionService"}
    fields["version"] = "v1beta" if template.api == "gemini" else "v1beta1"
    target = parse(template.method or "GET", build(template.path, **fields), template.api)
    assert target
    assert {name: fields[name] for name in target.fields} == target.fields


def test_a_very_long_path() -> None:
    assert parse("GET", "/v1/chat" * 7500 + "//") is None


@given(st.text())
def test_any_path(path: str) -> None:
    parse("POST", path)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_host(location: str | None, host: str) -> None:
    assert vertex_host(location) == host
    assert api_of(host) == "vertex"


@pytest.mark.parametrize("location", ["evil.com#", "us-central1.evil", "a/b", "", "-x", "US", "x" * 60, "us\n"])
def test_no_location(location: str) -> None:
    with pytest.raises(ValueError, match="not a Google Cloud location"):
        vertex_host(location)


@pytest.mark.parametrize(
    ("host", "api"),
    [
        (GEMINI_HOST, "gemini"),
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("console.anthropic.com", None),
        ("US-CENTRAL1-aiplatform.googleapis.com", "vertex"),
        ("aiplatform.mtls.googleapis.com", "vertex"),
        ("aiplatform.eu.rep.googleapis.com", "vertex"),
        ("aiplatform.eu.rep.mtls.googleapis.com", "vertex"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("generativelanguage.mtls.googleapis.com", "gemini"),
        ("123.us-central1-456.prediction.vertexai.goog", "vertex"),
        ("oauth2.googleapis.com", None),
        ("aiplatform.googleapis.com.evil.com", None),
        ("evilaiplatform.googleapis.com", None),
        ("example.com", None),
    ],
)
def test_api_of(host: str, api: Api | None) -> None:
    assert api_of(host) == api
