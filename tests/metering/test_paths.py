import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.paths import build
from metering.paths import parse
from metering.templates import TEMPLATES
from metering.templates import Template

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
    ("GET", f"{P}/models/tuned", "vertex", "models.get", None, "tuned"),
    ("GET", "/v1beta1/models/tuned", "vertex", "models.get", None, "tuned"),
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
    ("POST", f"{P}/interactions/v1_x/cancel", "vertex", "interactions.cancel", None, None),
    ("POST", "/v1beta1/interactions/v1_x/cancel", "vertex", "interactions.cancel", None, None),
    ("POST", "/v1beta/interactions/v1_x/cancel", "gemini", "interactions.cancel", None, None),
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
    ("POST", "/v1/messages/batches", "anthropic", "messages/batches", None, None),
    ("GET", "/v1/messages/batches/b", "anthropic", "messages/batches", None, None),
    ("POST", "/v1/messages/batches/b/cancel", "anthropic", "messages/batches/cancel", None, None),
    ("POST", "/v1/complete", "anthropic", "complete", None, None),
    ("POST", "/v1/messages/other", "anthropic", None, None, None),
    ("GET", "/v1/organizations/usage_report/messages", "anthropic", None, None, None),
    ("GET", "/v1/models/ft:gpt-4o:acme::Abc", "openai", "models", None, "ft:gpt-4o:acme::Abc"),
    ("POST", "/v1beta1/cachedContents", "vertex", "cachedContents.create", None, None),
    ("GET", "/v1beta1/tuningJobs/7", "vertex", "tuningJobs.get", None, None),
    ("GET", "/v1beta1/models", "vertex", "models.list", None, None),
    # Every resource of Vertex AI
    ("POST", f"{P}/reasoningEngines/5:query", "vertex", "reasoningEngines.query", None, None),
    ("POST", f"{P}/reasoningEngines/5:streamQuery", "vertex", "reasoningEngines.streamQuery", None, None),
    ("POST", f"{P}/reasoningEngines/5/sessions/6:compact", "vertex", "sessions.compact", None, None),
    ("POST", f"{P}/reasoningEngines/5/a2a/v1/message:send", "vertex", "message.send", None, None),
    ("POST", f"{P}/reasoningEngines/5/a2a/message:stream", "vertex", "message.stream", None, None),
    ("POST", f"{P}/reasoningEngines/5/a2a/tasks/8:cancel", "vertex", "tasks.cancel", None, None),
    ("GET", f"{P}/reasoningEngines/5/a2a/v1/card", "vertex", "card.get", None, None),
    ("PATCH", f"{P}/ragEngineConfig", "vertex", "ragEngineConfig.update", None, None),
    ("POST", f"{P}/interactions", "vertex", "interactions.create", None, None),
    ("POST", f"{P}/interactions/v1_a-b/cancel", "vertex", "interactions.cancel", None, None),
    ("POST", f"{P}/interactions/7:cancel", "vertex", "interactions.cancel", None, None),
    ("GET", f"{P}/interactionsHttp/7", "vertex", "interactions.get", None, None),
    ("GET", f"{P}/agents", "vertex", "agents.list", None, None),
    ("GET", f"{P}/models/7:listVersions", "vertex", "models.listVersions", None, "7"),
    ("DELETE", f"{P}/models/7@2:deleteVersion", "vertex", "models.deleteVersion", None, "7@2"),
    (
        "GET",
        f"{P}/publishers/google/models/g:fetchPublisherModelConfig",
        "vertex",
        "models.fetchPublisherModelConfig",
        "google",
        "g",
    ),
    ("POST", f"{P}/voices:create", "vertex", "voices.create", None, None),
    ("POST", f"/upload{P}/ragCorpora/1/ragFiles:upload", "vertex", "ragFiles.upload", None, None),
    ("POST", f"{P}/endpoints/google/science/inference", "vertex", "science.inference", None, None),
    ("GET", "/v1/projects/p/locations/us-central1", "vertex", "locations.get", None, None),
    ("GET", "/v1/projects/p/locations", "vertex", "locations.list", None, None),
    ("GET", "/v1/projects/p/cacheConfig", "vertex", "cacheConfig.get", None, None),
    ("POST", "/v1/projects/p/modelGardenEula:accept", "vertex", "modelGardenEula.accept", None, None),
    ("POST", "/v1/projects/p:setPublisherModelConfig", "vertex", "projects.setPublisherModelConfig", None, None),
    ("POST", "/v1/projects/p/publishers/google/models/g:enableModel", "vertex", "enableModel", "google", "g"),
    ("GET", f"{P}/7/no/resource", "vertex", None, None, None),
    # What a location does
    ("POST", f"{P}:retrieveContexts", "vertex", "retrieveContexts", None, None),
    ("POST", f"{P}%3AaskContexts", "vertex", "askContexts", None, None),
    ("POST", "/v1beta1:evaluateInstances", "vertex", "evaluateInstances", None, None),
    # Without a project, as clients with an API key send them
    ("POST", "/v1/reasoningEngines/5:query", "vertex", "reasoningEngines.query", None, None),
    ("POST", "/v1beta1/reasoningEngines/5%3AstreamQuery", "vertex", "reasoningEngines.streamQuery", None, None),
    ("POST", "/v1/memoryBanks/5/memories:generate", "vertex", "memories.generate", None, None),
    ("POST", "/v1/batchPredictionJobs", "vertex", "batchPredictionJobs.create", None, None),
    ("POST", "/v1beta1/interactions/7/cancel", "vertex", "interactions.cancel", None, None),
    ("POST", "/v1beta1/decisions", "vertex", "decisions.create", None, None),
    ("GET", "/v1beta1/voices/v", "vertex", "voices.get", None, None),
    ("POST", "/v1beta1/vertexExpress:signUp", "vertex", "vertexExpress.signUp", None, None),
    # The Gemini API
    ("GET", "/v1beta/fileSearchStores", "gemini", "fileSearchStores.list", None, None),
    ("POST", "/v1beta/fileSearchStores/s:importFile", "gemini", "fileSearchStores.importFile", None, None),
    ("GET", "/v1beta/fileSearchStores/s/documents/d", "gemini", "documents.get", None, None),
    ("GET", "/v1beta/fileSearchStores/s/upload/operations/o", "gemini", "operations.get", None, None),
    ("POST", "/v1beta/corpora/c/documents/d/chunks:batchCreate", "gemini", "chunks.batchCreate", None, None),
    ("POST", "/v1beta/interactions", "gemini", "interactions.create", None, None),
    ("GET", "/v1beta/interactions/live", "gemini", "interactions.live", None, None),
    ("POST", "/v1beta/interactions/v1_x/cancel", "gemini", "interactions.cancel", None, None),
    ("POST", "/v1beta/interactions/i/auth_tokens", "gemini", "auth_tokens.create", None, None),
    ("POST", "/v1alpha/auth_tokens", "gemini", "auth_tokens.create", None, None),
    ("POST", "/v1beta/decisions", "gemini", "decisions.create", None, None),
    ("POST", "/v1beta/triggers/t/executions", "gemini", "executions.create", None, None),
    ("POST", "/v1beta/webhooks/w:rotateSigningSecret", "gemini", "webhooks.rotateSigningSecret", None, None),
    ("GET", "/v1beta/environments/e/files/a/b.txt", "gemini", "files.get", None, None),
    ("PUT", "/upload/v1beta/environments/e/files/a/b.txt", "gemini", "files.update", None, None),
    ("POST", "/v1beta/files:register", "gemini", "files.register", None, None),
    ("GET", "/v1beta/batches/b", "gemini", "batches.get", None, None),
    ("POST", "/v1beta/models/g:batchGenerateContent", "gemini", "batchGenerateContent", None, "g"),
    ("POST", "/v1beta/models/g:asyncBatchEmbedContent", "gemini", "asyncBatchEmbedContent", None, "g"),
    ("POST", "/v1beta/dynamic/d:streamGenerateContent", "gemini", "streamGenerateContent", None, "d"),
    ("POST", "/v1beta/tunedModels", "gemini", "models.create", None, None),
    ("GET", "/v1beta/other", "gemini", None, None, None),
    (
        "GET",
        "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained",
        "gemini",
        "BidiGenerateContentConstrained",
        None,
        None,
    ),
    (
        "GET",
        "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic",
        "gemini",
        "BidiGenerateMusic",
        None,
        None,
    ),
]


@pytest.mark.parametrize("base", ["", "/vertex", "/api/vertex-ai"])
def test_parse_and_build(base: str) -> None:
    def parsed(method: str, path: str) -> tuple[str | None, ...]:
        target = parse(method, base + path)
        assert target, path
        assert target.base == base, path
        # Gemini's host speaks OpenAI's dialect too.
        assert target.api == ("gemini" if path.startswith("/v1beta/openai/") else target.surface.partition("-")[0]), (
            path
        )
        built = build(target.template, target.base, **target.fields)
        assert built == base + path.replace("%3A", ":").replace("%3a", ":")
        return (target.surface, target.operation, target.publisher, target.fields.get("model"))

    assert {row[:2]: parsed(*row[:2]) for row in PATHS} == {row[:2]: row[2:] for row in PATHS}


def operation_of(method: str, path: str) -> str | None:
    """The operation of a path that is known."""
    target = parse(method, path)
    assert target, path
    return target.operation


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


def test_resources_without_an_id() -> None:
    """There is one of each, so GET is no list."""
    words = "cacheConfig card content extendedAgentCard feedbackContext ragEngineConfig semanticGovernancePolicyEngine"
    found = {word: operation_of("GET", f"{P}/reasoningEngines/7/{word}") for word in words.split()}
    assert found == {word: f"{word}.get" for word in words.split()}


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
    ("POST", "/images/edits", "openai", "images/edits", None),
    ("GET", "/models/g", "openai", "models", "g"),
    ("GET", "/tunedModels", "gemini", "models.list", None),
    ("GET", "/tunedModels/t", "gemini", "models.get", "t"),
    ("GET", "/tunedModels/t/operations/1", "gemini", "operations.get", "t"),
    ("POST", "/cachedContents", "gemini", "cachedContents.create", None),
]
"""Paths that are known only where nothing stands before them: method, path, API, operation, model."""


@pytest.mark.parametrize(("method", "path", "api", "operation", "model"), BARE)
def test_paths_that_take_no_base(method: str, path: str, api: str, operation: str, model: str | None) -> None:
    target = parse(method, path)
    assert target
    assert (target.base, target.api, target.surface, target.operation) == ("", api, api, operation)
    assert target.fields.get("model") == model
    assert build(target.template, **target.fields) == path
    assert parse(method, f"/other{path}") is None


@pytest.mark.parametrize(
    ("path", "operation", "model"),
    [
        ("/v1/models", "models", None),
        ("/v1/models/claude-sonnet-4-5", "models", "claude-sonnet-4-5"),
        ("/v1/messages/batches/7/results", "messages/batches/results", None),
        ("/v1/files/7", None, None),
    ],
)
def test_paths_of_anthropic(path: str, operation: str | None, model: str | None) -> None:
    """Where the host or the credential says that they are Anthropic's."""
    target = parse("GET", path, "anthropic")
    assert target
    assert (target.api, target.surface, target.operation) == ("anthropic", "anthropic", operation)
    assert target.fields.get("model") == model


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/files:import"), ("GET", "/v1/batches/b:cancel"), ("GET", "/files/f:download")]
)
def test_a_verb_after_a_colon_is_googles(method: str, path: str) -> None:
    target = parse(method, path)
    assert target
    assert target.surface == "gemini"


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
    ],
)
def test_what_is_done_with_a_resource(method: str, name: str, verb: str) -> None:
    resources = """
        cachedContents agents anythingNew operations batchPredictionJobs tuningJobs interactions batches files
    """.split()
    operations = [operation_of(method, f"{P}/{resource}{name}") for resource in resources]
    assert operations == [f"{resource}.{verb}" for resource in resources]


VERTEX = [
    ("POST", "/v1/interactions/7:cancel", "interactions.cancel", "gemini"),
    ("GET", "/v1/agents/7/operations/8", "operations.get", "openai"),
    ("GET", "/v1/models/7/operations/8", "operations.get", "openai"),
]
"""Paths that are Vertex AI's if the host is, else another API's."""


@pytest.mark.parametrize(("method", "path", "operation", "other"), VERTEX)
def test_the_host_tells_whose_a_path_is(method: str, path: str, operation: str, other: str) -> None:
    target = parse(method, path, "vertex")
    assert target
    assert (target.surface, target.operation) == ("vertex", operation)
    without_host = parse(method, path)
    assert without_host
    assert without_host.surface == other


def test_every_template_is_used() -> None:
    paths = [(row[0], row[1]) for row in PATHS] + [(row[0], row[1]) for row in BARE]
    parsed = {(target.api, target.template) for method, path in paths if (target := parse(method, path))}
    parsed |= {("vertex", target.template) for row in VERTEX if (target := parse(row[0], row[1], "vertex"))}
    # Which API's models these are, the headers tell.
    models = parse("GET", "/v1/models", "anthropic")
    assert models
    parsed.add(("anthropic", models.template))
    assert parsed == {(template.api, template.path) for template in TEMPLATES}


CALLS = [
    f"{P}/publishers/google/models/g:generateContent",
    f"{P}/publishers/google/models/g:streamGenerateContent",
    f"{P}/endpoints/1:predict",
    f"{P}/publishers/x/models/m/invoke/v1/chat",
    f"{P}:askContexts",
    "/v1beta/models/g:generateContent",
    "/models/g%3AgenerateContent",
    "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
    "/v1/messages",
    "/v1/messages/count_tokens",
    f"{P}/endpoints/google/science/inference",
    "/v1/complete",
]


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "GET", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND"])
def test_only_a_post_calls_a_model(method: str) -> None:
    assert [path for path in CALLS if operation_of(method, path)] == []
    assert [path for path in CALLS if not operation_of("POST", path)] == []


def test_verbs() -> None:
    """Of a resource, and of all."""
    verbs = {"GET": ("list", "get"), "DELETE": ("delete", "delete")}
    verbs |= dict.fromkeys(("PATCH", "PUT"), ("update", "update"))
    paths = (f"{P}/cachedContents", f"{P}/cachedContents/7")
    found = {method: tuple(operation_of(method, path) for path in paths) for method in verbs}
    assert found == {method: tuple(f"cachedContents.{verb}" for verb in both) for method, both in verbs.items()}
    assert operation_of("POST", paths[0]) == "cachedContents.create"


def test_resources_are_words() -> None:
    assert operation_of("GET", f"{P}/5-things") is None
    webhooks = parse("GET", "/v1beta1/webhooks")
    assert webhooks
    assert (webhooks.api, webhooks.operation) == ("vertex", "webhooks.list")


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE"])
def test_methods_that_ask_for_nothing(method: str) -> None:
    paths = [f"{P}/cachedContents", "/v1/chat/completions", "/v1/models", "/v1beta/files/f"]
    assert [path for path in paths if operation_of(method, path)] == []


@pytest.mark.parametrize(
    "path",
    [
        f"{P}/publishers/google/models/g:generateContent",
        f"{P}/endpoints/1:predict",
        f"{P}/models/tuned:generateContent",
        f"{P}/interactions:createStream",
        f"{P}/interactions/7:cancel",
        f"{P}/reasoningEngines/5:query",
        f"{P}/reasoningEngines/5/a2a/v1/message:send",
        f"{P}:askContexts",
        "/v1:evaluateInstances",
        "/v1beta1/models/g:generateContent",
        "/v1/reasoningEngines/5:query",
        "/v1beta/models/g:generateContent",
        "/models/g:generateContent",
        "/v1beta/files:register",
        "/v1beta/batches/b:cancel",
        "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
    ],
)
def test_ways_to_write_the_colon(path: str) -> None:
    plain = parse("POST", path)
    assert plain
    assert plain.operation
    for escaped in ("%3A", "%3a"):
        assert parse("POST", path.replace(":", escaped)) == plain
    assert parse("POST", path.replace(":", "/:")) == plain
    for twice in ("%253A", "%253a"):
        other = parse("POST", path.replace(":", twice))
        assert (other and other.operation) != plain.operation


@pytest.mark.parametrize(
    "path", ["/", "", "*", "/favicon.ico", "/v1", "/v1/nothing", "/v1beta1/projects/p", "/v1beta1/unknown", "/-/health"]
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
        "environment": "e",
    }
    fields |= {"location": "us-central1", "model": "m", "action": "predict", "verb": "cancel", "rest": "r"}
    fields |= {
        "openai": "chat/completions",
        "resource": "cachedContents",
        "collection": "models",
        "slashes": "/",
    }
    fields |= {"rpc": "BidiGenerateContent", "rpc_service": "PredictionService"}
    fields["owners"] = "fileSearchStores/s/" if template.api == "gemini" else "datasets/d/"
    if ":anthropic}" in template.path:
        fields["rest"] = "skills/s"
    if ":kept}" in template.path:
        fields["verb"] = "listVersions"
    if "in_project" in template.path:
        fields["resource"] = "cacheConfig"
    if "shared_owners" in template.path:
        fields["owners"] = "agents/a/"
    fields["version"] = "v1beta" if template.api == "gemini" else "v1" if ":v1}" in template.path else "v1beta1"
    target = parse(template.method or "GET", build(template.path, **fields), template.api)
    assert target
    assert {name: fields[name] for name in target.fields} == target.fields


def test_a_very_long_path() -> None:
    assert parse("GET", "/v1/chat" * 7500 + "//") is None


@given(st.text())
def test_any_path(path: str) -> None:
    parse("POST", path)
