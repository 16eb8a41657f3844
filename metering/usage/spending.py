"""Which calls may use something, such as tokens, and which surely use nothing."""

from metering.paths import Target
from metering.templates import METHODS

SPENDING: dict[str, frozenset[str]] = {
    "vertex": frozenset(
        "interactions.create interactions.createStream batchPredictionJobs.create tuningJobs.create voices.create"
        " decisions.create tasks.create tasks.resume memories.create evaluationRuns.create evaluationExperiments.create"
        " onlineEvaluators.create onlineEvaluators.activate ragFiles.import ragFiles.upload".split()
    ),
    "gemini": frozenset(
        "interactions.create batches.create models.create voices.create decisions.create executions.create"
        " chunks.create chunks.batchCreate".split()
    ),
}
"""API -> operations that run a model, although the same verb of other resources uses nothing: `tuningJobs.create` tunes
for hours, `agents.create` only stores something. `models.create` tunes a model; `executions.create` runs a trigger."""

IDLE_VERBS = frozenset(
    # Resources are kept.
    "create cancel wait add remove import export copy upload batchCreate batchDelete batchCancel"
    " batchMigrate batchImport purge rollback search lookup"
    # Who may do what
    " getIamPolicy setIamPolicy testIamPermissions accept check signUp setPublisherModelConfig generateAccessToken"
    " generateFetchAccessToken authorizeAccess register ping rotateSigningSecret"
    # What runs on machines, without a model
    " start stop assign setDefault upgrade reboot pause resume suspend enable disable deprovision"
    " execute executeCode bidiExecute snapshot reportEvent clearTrainingData cancelAsyncQuery checkQueryJob"
    " deployIndex undeployIndex mutateDeployedIndex"
    # Data: features, indexes, experiments, metadata, sessions
    " fetchFeatureValues streamingFetchFeatureValues readFeatureValues streamingReadFeatureValues writeFeatureValues"
    " deleteFeatureValues exportFeatureValues importFeatureValues batchReadFeatureValues directWrite sync"
    " searchNearestEntities findNeighbors readIndexDatapoints removeDatapoints upsertDatapoints"
    " fetchExamples removeExamples addContextArtifactsAndExecutions addContextChildren removeContextChildren"
    " addExecutionEvents write exportTensorboardTimeSeries listOptimalTrials suggest addTrialMeasurement complete"
    " checkTrialEarlyStoppingState searchModelDeploymentMonitoringStatsAnomalies searchModelMonitoringAlerts"
    " searchModelMonitoringStats appendEvent appendEvents"
    " deleteArtifact uploadArtifact".split()
)
"""Verbs that use nothing, if `SPENDING` does not have the operation. A verb that is in neither may spend."""

IDLE_ACTIONS = frozenset(
    "countTokens computeTokens countMessageTokens countTextTokens fetchPredictOperation deploy deployPublisherModel"
    " recommendSpec deployModel undeployModel mutateDeployedModel enableModel update export mergeVersionAliases"
    " updateExplanationDataset setPublisherModelConfig transferOwnership getIamPolicy setIamPolicy"
    " testIamPermissions".split()
)
"""Actions of models, endpoints and locations that use nothing. Any other may spend."""

IDLE_RPCS = ("get", "list", "delete", "update", "cancel")
"""How the names of gRPC's methods begin that use nothing, such as `listModels`. Any other may spend."""

IDLE_OPENAI = frozenset(
    "responses/input_tokens responses/cancel conversations conversations/items models files files/content uploads"
    " uploads/parts uploads/cancel uploads/complete batches/cancel fine_tuning/jobs/cancel fine_tuning/jobs/pause"
    " fine_tuning/jobs/resume fine_tuning/alpha/graders/validate fine_tuning/checkpoints/permissions assistants"
    " threads/messages threads/runs/cancel chat/completions/messages containers containers/files"
    " containers/files/content realtime/client_secrets realtime/sessions realtime/transcription_sessions"
    " realtime/calls/reject realtime/calls/hangup realtime/calls/refer live/sessions/reject live/sessions/hangup"
    " live/sessions/refer chatkit/sessions chatkit/sessions/cancel evals evals/runs/cancel skills skills/versions"
    " moderations content_provenance_checks vector_stores/file_batches/cancel threads videos/characters"
    " live/sessions/content realtime/translations/client_secrets"
    " agents agents/environments agents/automations agents/automations/pause agents/automations/resume"
    " audio/voices audio/voice_consents webhook_endpoints webhook_endpoints/test webhook_endpoints/rotate_secret"
    " vaults vaults/credentials".split()
)
"""OpenAI's operations of which a POST uses nothing. Those of `organization` and `safety` use nothing either."""

IDLE_ANTHROPIC = frozenset({"messages/count_tokens", "messages/batches/cancel"})

SOCKETS = frozenset(
    "BidiGenerateContent BidiGenerateContentConstrained BidiGenerateMusic interactions.live"
    " realtime realtime/translations live live/sessions/attach".split()
)
"""Operations that a GET asks for, as it opens a WebSocket."""


def may_spend(target: Target | None, method: str) -> bool:
    """Whether a call may use something: whether an answer that tells no usage leaves something unknown."""
    if method not in METHODS:
        return False
    if target is None:
        return True
    operation = target.operation or ""
    if operation in SOCKETS:
        return True
    if method != "POST":
        return False
    if "rpc_service" in target.fields:
        return not operation.startswith(IDLE_RPCS)
    if target.surface in ("openai", "vertex-openai"):
        last = target.fields.get("openai", operation).rstrip("/").rpartition("/")[2]
        if not operation.endswith(last):
            # What is sent to the path of one object, such as `chat/completions/{id}`, changes it, and gets it back.
            return False
        return operation not in IDLE_OPENAI and operation.partition("/")[0] not in ("organization", "safety")
    if target.surface == "anthropic":
        return operation not in IDLE_ANTHROPIC
    if operation in SPENDING[target.api]:
        return True
    _, dot, verb = operation.rpartition(".")
    return verb not in (IDLE_VERBS if dot else IDLE_ACTIONS)
