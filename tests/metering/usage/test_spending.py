import pytest

from metering.call import UsageState
from metering.paths import parse
from metering.usage.formats import usage_of
from metering.usage.spending import may_spend
from tests.metering.discovery import methods

P = "/v1/projects/p/locations/l"

SPENDING = set(
    """
    generateContent streamGenerateContent predict rawPredict streamRawPredict predictLongRunning serverStreamingPredict
    directPredict directRawPredict explain embedContent batchEmbedContents invoke science.inference
    chat/completions completions embeddings responses responses/compact
    askContexts asyncRetrieveContexts augmentPrompt corroborateContent retrieveContexts
    evaluateDataset evaluateInstances generateInstanceRubrics generateLossClusters generateSyntheticData
    generateUserScenarios
    interactions.create interactions.createStream batchPredictionJobs.create voices.create
    reasoningEngines.query reasoningEngines.streamQuery reasoningEngines.asyncQuery runtimeRevisions.query
    runtimeRevisions.streamQuery message.send message.stream extensions.query tasks.create tasks.resume sessions.compact
    memories.create memories.generate memories.retrieve memories.retrieveProfiles memories.ingestEvents
    memoryBanks.ingestEvents ragFiles.import ragFiles.upload exampleStores.searchExamples exampleStores.upsertExamples
    tuningJobs.create tuningJobs.optimizePrompt tuningJobs.processData tuningJobs.rebaseTunedModel
    tuningJobs.validateReinforcementTuningReward evaluationRuns.create evaluationExperiments.create
    onlineEvaluators.create onlineEvaluators.activate datasets.assess datasets.assemble
    """.split()
)
"""The methods of Vertex AI that run a model or an agent, by what the discovery documents say of each."""


def test_every_method_of_vertex_ai() -> None:
    """Those that run a model are never said to use nothing, and the others are."""
    seen: set[str | None] = set()
    for http, path in methods():
        target = parse(http, path, "vertex")
        assert target
        spends = http == "POST" and target.operation in SPENDING
        seen.update({target.operation} if spends else ())
        assert may_spend(target, http) == spends, (http, path, target.operation)
        state = usage_of(target, http, None).state
        assert state in ((None, UsageState.UNSUPPORTED) if spends else (UsageState.NOT_APPLICABLE,)), path
    assert seen == SPENDING


MAY_SPEND = {
    ("POST", f"{P}/reasoningEngines/5:anythingNew"): True,
    ("POST", f"{P}/publishers/google/models/m:anythingNew"): True,
    ("POST", f"{P}:anythingNew"): True,
    ("POST", f"{P}:complete"): True,
    ("POST", f"{P}/publishers/google/models/m:create"): True,
    ("POST", f"{P}/reasoningEngines/5:checkQueryJob"): False,
    ("POST", f"{P}/7/no/resource"): True,
    ("POST", "/unknown"): True,
    ("GET", "/unknown"): True,
    ("OPTIONS", "/unknown"): False,
    ("HEAD", "/unknown"): False,
    ("GET", f"{P}/7/no/resource"): False,
    ("OPTIONS", f"{P}/publishers/google/models/m:generateContent"): False,
    ("HEAD", f"{P}/publishers/google/models/m:generateContent"): False,
    ("GET", f"{P}/publishers/google/models/m:generateContent"): False,
    ("DELETE", f"{P}/endpoints/1:predict"): False,
    ("OPTIONS", "/google.cloud.aiplatform.v1.PredictionService/GenerateContent"): False,
    ("POST", "/google.cloud.aiplatform.v1.PredictionService/GenerateContent"): True,
    ("POST", "/google.cloud.aiplatform.v1.ReasoningEngineExecutionService/QueryReasoningEngine"): True,
    ("POST", "/google.cloud.aiplatform.v1.JobService/CreateBatchPredictionJob"): True,
    ("POST", "/google.cloud.aiplatform.v1.JobService/GetBatchPredictionJob"): False,
    ("POST", "/google.cloud.aiplatform.v1.JobService/CancelBatchPredictionJob"): False,
    ("POST", "/google.cloud.aiplatform.v1.ModelService/ListModels"): False,
    ("POST", "/google.cloud.aiplatform.v1.ModelService/UpdateModel"): False,
    ("POST", "/google.cloud.aiplatform.v1.ModelService/DeleteModel"): False,
    ("OPTIONS", "/v1/chat/completions"): False,
    ("OPTIONS", "/v1/messages"): False,
    ("GET", "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"): True,
    ("OPTIONS", "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"): False,
    ("GET", "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic"): True,
    ("GET", "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"): True,
    ("POST", f"{P}/decisions"): True,
    # The Gemini API
    ("POST", "/v1beta/interactions"): True,
    ("GET", "/v1beta/interactions/live"): True,
    ("POST", "/v1beta/interactions/7/cancel"): False,
    ("POST", "/v1beta/models/m:batchGenerateContent"): True,
    ("POST", "/v1beta/models/m:asyncBatchEmbedContent"): True,
    ("POST", "/v1beta/models/m:generateAnswer"): True,
    ("POST", "/v1beta/models/m:countTextTokens"): False,
    ("POST", "/v1beta/models/m:countMessageTokens"): False,
    ("POST", "/v1beta/batches"): True,
    ("POST", "/v1beta/batches/b:cancel"): False,
    ("GET", "/v1beta/batches/b"): False,
    ("POST", "/v1beta/tunedModels"): True,
    ("POST", "/v1beta/tunedModels/t:transferOwnership"): False,
    ("POST", "/v1beta/voices"): True,
    ("POST", "/v1beta/decisions"): True,
    ("POST", "/v1beta/triggers"): False,
    ("POST", "/v1beta/triggers/t/executions"): True,
    ("POST", f"{P}/metadataStores/m/executions"): False,
    ("POST", "/v1beta/corpora/c:query"): True,
    ("POST", "/v1beta/corpora/c/documents/d/chunks"): True,
    ("POST", "/v1beta/corpora/c/documents/d/chunks:batchCreate"): True,
    ("POST", "/v1beta/fileSearchStores"): False,
    ("POST", "/v1beta/fileSearchStores/s:importFile"): True,
    ("POST", "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore"): True,
    ("POST", "/v1beta/cachedContents"): False,
    ("POST", "/v1beta/files:register"): False,
    ("POST", "/v1alpha/auth_tokens"): False,
    ("POST", "/v1beta/webhooks/w:ping"): False,
    ("POST", "/v1beta/webhooks/w:rotateSigningSecret"): False,
    # Anthropic's
    ("POST", "/v1/messages"): True,
    ("POST", "/v1/messages/count_tokens"): False,
    ("POST", "/v1/messages/batches"): True,
    ("GET", "/v1/messages/batches/b/results"): False,
    ("POST", "/v1/messages/batches/b/cancel"): False,
    ("POST", "/v1/complete"): True,
    ("GET", "/v1/messages"): False,
}


def test_what_may_spend() -> None:
    parsed = {(method, path): parse(method, path) for method, path in MAY_SPEND}
    assert {asked: may_spend(target, asked[0]) for asked, target in parsed.items()} == MAY_SPEND
    states = {asked: usage_of(target, asked[0], None).state for asked, target in parsed.items()}
    assert {asked: state != UsageState.NOT_APPLICABLE for asked, state in states.items()} == MAY_SPEND


OPENAI_SPENDS = """
    chat/completions completions responses responses/compact embeddings images/generations images/edits
    images/variations audio/speech audio/transcriptions audio/translations videos videos/remix videos/edits
    videos/extensions batches fine_tuning/jobs fine_tuning/alpha/graders/run vector_stores
    vector_stores/files vector_stores/file_batches vector_stores/search threads/runs
    threads/runs/submit_tool_outputs evals/runs decisions agents/sessions agents/automations/invocations
    realtime/calls realtime/calls/accept live/sessions live/sessions/accept live/sessions/fork
""".split()
OPENAI_IDLE = """
    responses/input_tokens responses/cancel conversations conversations/items models files files/content uploads
    uploads/parts uploads/cancel uploads/complete batches/cancel fine_tuning/jobs/cancel fine_tuning/jobs/pause
    fine_tuning/jobs/resume fine_tuning/alpha/graders/validate fine_tuning/checkpoints/permissions assistants
    threads/messages threads/runs/cancel chat/completions/messages containers containers/files
    containers/files/content realtime/client_secrets realtime/sessions realtime/transcription_sessions
    realtime/calls/reject realtime/calls/hangup realtime/calls/refer live/sessions/reject live/sessions/hangup
    live/sessions/refer chatkit/sessions chatkit/sessions/cancel evals evals/runs/cancel skills skills/versions
    agents agents/environments agents/automations agents/automations/pause agents/automations/resume
    audio/voices audio/voice_consents webhook_endpoints webhook_endpoints/test webhook_endpoints/rotate_secret vaults
    vaults/credentials organization safety/alerts moderations content_provenance_checks threads videos/characters
    vector_stores/file_batches/cancel live/sessions/content realtime/translations/client_secrets
""".split()


def test_what_spends_at_openai() -> None:
    def spending(method: str) -> list[str]:
        targets = {operation: parse(method, f"/v1/{operation}") for operation in OPENAI_SPENDS + OPENAI_IDLE}
        assert [operation for operation, target in targets.items() if target is None] == []
        return [operation for operation, target in targets.items() if may_spend(target, method)]

    assert spending("POST") == OPENAI_SPENDS
    for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
        assert spending(method) == [], method


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/c", "/v1/evals/e/runs/r", "/v1/threads/t", "/v1/vector_stores/v"]
)
def test_what_changes_one_object_of_openai(path: str) -> None:
    assert not may_spend(parse("POST", path), "POST")


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/live/sessions/s/attach"])
def test_websockets_of_openai(path: str) -> None:
    assert may_spend(parse("GET", path), "GET")
