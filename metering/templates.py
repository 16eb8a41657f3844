"""The grammar of the URL paths of Vertex AI, the Gemini API, OpenAI and Anthropic, as tables. `paths.py` reads them.

In a template, `{name}` is a field of one path segment, `{name:kind}` a field that matches a pattern of `KINDS`, and
`[...]` is optional. Most templates may follow a base path such as `/vertex`. The first template that matches wins.

Sources: Google's discovery documents of aiplatform v1 and v1beta1, the reference of the Gemini API, the paths that
google-genai, anthropic[vertex] and openai send, OpenAI's and Anthropic's API references.
"""

from typing import Literal
from typing import NamedTuple

Api = Literal["vertex", "gemini", "openai", "anthropic"]


class Template(NamedTuple):
    """An entry of the table `TEMPLATES`: a pattern for paths, and what such a path asks for."""

    api: Api
    surface: str
    operation: str
    """The operation, or `{field}` for the field that names it. If it ends with a dot, as in `models.`, the HTTP method
    adds the verb. Empty if the operation is unknown."""
    path: str
    method: str | None = None
    """The only HTTP method that matches; None for any."""
    anywhere: bool = True
    """Whether the path may follow a base path."""


_PARENT = "[/{version}]/projects/{project:project}/locations/{location}"
_ANYWHERE = "[/{version}][/projects/{project:project}/locations/{location}]"
_PUBLISHER = "[/{version}][/projects/{project:project}/locations/{location}]/publishers/{publisher}"
_PROJECT = "/{version}/projects/{project:project}"
_GEMINI = "/{version:gemini}"
_ACTION = "[/{version:gemini}]/{collection:collection}/{model:model}:{action:name}"
_RESOURCE = "{resource:word}[/{id}][:{verb:name}]"
_LIVE = "{slashes:slashes}ws/google."

TEMPLATES = (
    Template("vertex", "vertex", "models.", _PUBLISHER + "/models/{model}:{verb:kept}"),
    Template("vertex", "vertex", "models.", _PARENT + "/models/{model}:{verb:kept}"),
    Template("vertex", "vertex", "{action}", _PUBLISHER + "/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "{action}", _ANYWHERE + "/endpoints/{endpoint}:{action:name}"),
    Template("vertex", "vertex", "{action}", _PARENT + "/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "{action}", "/{version:v1beta1}/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "{action}", _PARENT + ":{action:name}"),
    Template("vertex", "vertex", "{action}", "/{version:vertex}:{action:name}"),
    Template("vertex", "vertex", "invoke", _PUBLISHER + "/models/{model}/invoke/{rest:rest}"),
    Template(
        "vertex",
        "vertex",
        "invoke",
        _ANYWHERE + "/endpoints/{endpoint}[/deployedModels/{id}]/invoke/{rest:rest}",
    ),
    Template("vertex", "vertex", "science.inference", _ANYWHERE + "/endpoints/google/science/inference"),
    Template("vertex", "vertex-openai", "{openai}", _ANYWHERE + "/endpoints/{endpoint}/{openai:openai}"),
    Template("vertex", "vertex-openai", "{openai}", _PUBLISHER + "/v1/{openai:openai}"),
    Template("vertex", "vertex", "models.", _PUBLISHER + "/models[/{model}]"),
    Template("vertex", "vertex", "models.", _PARENT + "/models[/{model}]"),
    Template("vertex", "vertex", "operations.", _PUBLISHER + "/models/{model}/operations[/{id}][:{verb:name}]"),
    Template("vertex", "vertex", "models.", "/{version:v1beta1}/models[/{model}]"),
    Template("vertex", "vertex", "interactions.", _PARENT + "/interactions/{id}/{verb:interaction_verb}"),
    Template("vertex", "vertex", "interactions.", "/{version:v1beta1}/interactions/{id}/{verb:interaction_verb}"),
    Template("vertex", "vertex", "interactions.", _PARENT + "/interactionsHttp[/{id}][/{verb:name}]"),
    Template("vertex", "vertex", "{resource}.", "/upload" + _PARENT + "/{owners:owners}" + _RESOURCE),
    Template("vertex", "vertex", "{resource}.", _PARENT + "/{owners:owners}" + _RESOURCE),
    Template("vertex", "vertex", "{resource}.", "/{version:v1beta1}/{owners:beta1_owners}" + _RESOURCE),
    Template("vertex", "vertex", "{resource}.", "/{version:v1}/{owners:express_owners}" + _RESOURCE),
    Template("vertex", "vertex", "projects.", _PROJECT + ":{verb:name}"),
    Template("vertex", "vertex", "locations.", _PROJECT + "/locations[/{id}]"),
    Template("vertex", "vertex", "{resource}.", _PROJECT + "/{resource:in_project}[:{verb:name}]"),
    Template("vertex", "vertex", "{action}", _PROJECT + "/publishers/{publisher}/models/{model:model}:{action:name}"),
    Template("vertex", "vertex-live", "{rpc}", _LIVE + "cloud.aiplatform.{version}.LlmBidiService/{rpc:live}"),
    Template("vertex", "vertex", "{rpc}", "/google.cloud.aiplatform.{version}.{rpc_service:name}/{rpc:name}"),
    Template("gemini", "gemini", "{action}", _ACTION, "POST"),
    Template("gemini", "gemini", "files.create", "/upload[/{version:gemini}]/files"),
    Template("gemini", "gemini", "fileSearchStores.", "/upload[/{version:gemini}]/fileSearchStores/{id}:{verb:name}"),
    Template("gemini", "gemini", "files.", "/upload" + _GEMINI + "/environments/{environment}/files/{id:rest}"),
    Template("gemini", "gemini", "files.", _GEMINI + "/environments/{environment}/files/{id:rest}"),
    Template("openai", "openai", "models", "/v1/models[/{model:rest}]"),
    Template("openai", "openai", "{openai}", "/v1/{openai:openai}"),
    Template("anthropic", "anthropic", "messages", "/v1/messages"),
    Template("anthropic", "anthropic", "messages/count_tokens", "/v1/messages/count_tokens"),
    Template("anthropic", "anthropic", "models", "/v1/models[/{model:rest}]"),
    Template("anthropic", "anthropic", "messages/batches", "/v1/messages/batches[/{id}]"),
    Template("anthropic", "anthropic", "messages/batches/{verb}", "/v1/messages/batches/{id}/{verb:name}"),
    Template("anthropic", "anthropic", "complete", "/v1/complete"),
    Template("anthropic", "anthropic", "", "/v1/messages/{rest:rest}"),
    # The same path with any other method. Its POST is above, as OpenAI has models such as `ft:gpt-4o:acme::id`.
    Template("gemini", "gemini", "{action}", _ACTION),
    Template("gemini", "gemini", "models.", _GEMINI + "/{collection:collection}[/{model}]"),
    Template("gemini", "gemini", "operations.", _GEMINI + "/{collection:collection}/{model}/operations[/{id}]"),
    Template("gemini", "gemini", "interactions.live", _GEMINI + "/interactions/live"),
    Template("gemini", "gemini", "interactions.", _GEMINI + "/interactions/{id}/{verb:interaction_verb}"),
    Template("gemini", "gemini", "operations.", _GEMINI + "/fileSearchStores/{owner}/upload/operations[/{id}]"),
    Template("gemini", "gemini", "{resource}.", _GEMINI + "/{owners:gemini_owners}" + _RESOURCE),
    Template("gemini", "openai", "{openai}", _GEMINI + "/openai/{openai:openai}"),
    Template("gemini", "gemini", "{rpc}", _LIVE + "ai.generativelanguage.{version}.GenerativeService.{rpc:live}"),
    # Words that others have too, where only the host tells that they are Vertex AI's.
    Template("vertex", "vertex", "{resource}.", "/{version:v1}/{owners:shared_owners}" + _RESOURCE),
    # Other paths of these APIs, so that at least the host is right.
    Template("vertex", "vertex", "", _PARENT + "[:{verb:name}][/{rest:rest}]"),
    Template("gemini", "gemini", "", "/{version:beta}/{rest:rest}"),
    Template("anthropic", "anthropic", "", "/v1/{rest:anthropic}"),
    # Paths without a version, from clients whose base_url or api_version lacks it.
    Template("openai", "openai", "models", "/models[/{model:rest}]", anywhere=False),
    Template("openai", "openai", "{openai}", "/{openai:openai}", anywhere=False),
    Template("gemini", "gemini", "models.", "/{collection:collection}[/{model}]", anywhere=False),
    Template("gemini", "gemini", "operations.", "/{collection:collection}/{model}/operations[/{id}]", anywhere=False),
    Template("gemini", "gemini", "{resource}.", "/{owners:gemini_owners}" + _RESOURCE, anywhere=False),
)
"""OpenAI's templates come before Google's, as `/v1/models` and `/v1/files` are OpenAI's unless the host or the
credential says otherwise. Paths that end with `:verb` are Google's."""

_SEGMENT = r"(?:(?!%3[Aa])[^/:?#])+"
_WORD = r"(?!(?:a2a|projects|locations)(?![A-Za-z]))[A-Za-z]\w{0,47}"
_OWNERS = rf"(?:(?:a2a(?:/v1)?|ragEngineConfig(?=/operations)|{_WORD}/{_SEGMENT})/)*"
"""The resources that another one belongs to, as `reasoningEngines/7/` in `reasoningEngines/7/sessions`. There is one
`ragEngineConfig`, so it has no id. Paths of A2A, such as `reasoningEngines/7/a2a/v1/message:send`, have a prefix."""


_EXPRESS = (
    "apps batchPredictionJobs collaborativeProjects customJobs dataLabelingJobs datasets deploymentResourcePools"
    " edgeDevices endpoints evaluationItems evaluationMetrics evaluationRuns evaluationSets exampleStores"
    " extensionControllers extensions featureGroups featureOnlineStores featurestores hyperparameterTuningJobs"
    " indexEndpoints indexes learningSets memoryBanks metadataStores migratableResources"
    " modelDeploymentMonitoringJobs modelMonitors notebookExecutionJobs notebookRuntimeTemplates notebookRuntimes"
    " onlineEvaluators persistentResources pipelineJobs ragCorpora ragEngineConfig reasoningEngines schedules"
    " semanticGovernancePolicies servingProfiles solvers specialistPools studies taskStores tensorboards"
    " trainingPipelines tuningJobs vertexExpress"
)
"""Resources of Vertex AI that clients with an API key name without a project, and that no other API has."""


def _beginning_with(words: str) -> str:
    return rf"(?=(?:{'|'.join(words.split())})(?:[/:]|%3[Aa]|$)){_OWNERS}"


KINDS = {
    "": _SEGMENT,
    "project": r"(?:[^/:?#]+:)?[^/:?#]+",
    "version": r"v\d[a-z0-9]*",
    "v1": r"v1",
    "v1beta1": r"v1beta1",
    "vertex": r"v1(?:beta1)?",
    "gemini": r"v(?!1beta1)\d[a-z0-9]*",
    "beta": r"v1(?:beta|alpha)",
    "model": r"[^/?#]+?",
    "rest": r"[^?#]+",
    "name": r"[A-Za-z]+",
    "word": _WORD,
    "live": r"Bidi[A-Za-z]+",
    "slashes": r"//?",
    "collection": r"models|tunedModels|dynamic",
    "kept": r"listVersions|listCheckpoints|deleteVersion|fetchPublisherModelConfig",
    "in_project": r"cacheConfig|modelGardenEula",
    "interaction_verb": r"cancel",
    "owners": _OWNERS,
    "express_owners": _beginning_with(_EXPRESS),
    "beta1_owners": _beginning_with(
        _EXPRESS
        + " agents cachedContents credentials decisions environments files interactions models operations skills"
        " triggers voices webhooks"
    ),
    "shared_owners": _beginning_with("agents interactions models(?=/[^/]+/) operations skills"),
    "gemini_owners": _beginning_with(
        "agents auth_tokens batches cachedContents corpora credentials decisions environments fileSearchStores files"
        " generatedFiles interactions models operations triggers tunedModels voices webhooks"
    ),
    "anthropic": r"(?:agents|compliance|deployment_runs|deployments|dreams|environments|files|memory_stores"
    r"|organizations|sessions|skills|tunnels|user_profiles|vaults)(?:/[^/?#]+)*/?",
    "openai": r"(?![^?#]*(?::|%3[Aa])[A-Za-z]+$)"
    r"(?:chat|completions|responses|conversations|embeddings|images|audio|videos|moderations|realtime"
    r"|batches|files|uploads|fine_tuning|vector_stores|assistants|threads|containers"
    r"|agents|chatkit|content_provenance_checks|decisions|evals|live|organization|safety|skills|vaults"
    r"|webhook_endpoints|webhook_event_types)(?:/[^/?#]+)*/?",
}
"""Kind of a field -> the pattern that it matches. `shared_owners` are resources of Vertex AI that other APIs have too:
only the host tells whose they are."""

SPANNING = frozenset(
    kind for kind in KINDS if kind in ("rest", "anthropic", "openai", "slashes") or kind.endswith("owners")
)
"""Kinds whose fields may contain slashes."""

OPENAI_WORDS = frozenset(
    "chat completions responses cancel compact input_tokens input_items conversations items embeddings images"
    " generations edits variations audio speech transcriptions translations videos content remix moderations"
    " realtime client_secrets sessions batches files uploads parts complete fine_tuning jobs events checkpoints"
    " vector_stores search file_batches assistants threads messages runs steps containers"
    " agents automations invocations pause resume environments templates artifacts subagents traces turns"
    " voices voice_consents chatkit content_provenance_checks decisions evals output_items alpha graders run validate"
    " permissions live accept attach fork hangup refer reject calls transcription_sessions skills versions"
    " submit_tool_outputs extensions characters organization safety alerts cases vaults credentials"
    " webhook_endpoints webhook_event_types test rotate_secret".split()
)
"""The segments of OpenAI's paths that are fixed words. All others are ids, which are not part of an operation's
name."""

POSTED = frozenset({"{action}", "invoke", "science.inference", "messages", "messages/count_tokens", "complete"})
"""Operations of templates that only POST asks for. With any other method, such as a browser's OPTIONS, such a path asks
for nothing."""

VERBS = {
    ("POST", False): "create",
    ("GET", False): "list",
    ("GET", True): "get",
    ("PATCH", False): "update",
    ("PATCH", True): "update",
    ("PUT", False): "update",
    ("PUT", True): "update",
    ("DELETE", False): "delete",
    ("DELETE", True): "delete",
}
"""(HTTP method, whether the path names one resource) -> the verb of the operation."""

METHODS = frozenset(method for method, _ in VERBS)
"""The HTTP methods that ask an API for something. OPTIONS and HEAD do not."""

SINGLETONS = frozenset(
    "cacheConfig card content extendedAgentCard feedbackContext ragEngineConfig semanticGovernancePolicyEngine".split()
)
"""Resources of which there is one, and that have no id."""

PUBLISHER_ALIASES = {"googleVertexAI": "google"}
"""Publisher name of other gateways -> Google's own name."""
