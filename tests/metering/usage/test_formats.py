from metering.paths import parse
from metering.usage.formats import usage_of
from metering.usage.polls import PolledReader
from metering.usage.reader import Reader

P = "/v1/projects/p/locations/l"
G = f"{P}/publishers/google/models"


READERS = {
    ("POST", f"{G}/gemini:generateContent"): ("GeminiReader", None),
    ("POST", f"{G}/gemini:streamGenerateContent"): ("GeminiReader", None),
    ("POST", f"{G}/gemini-embedding-001:embedContent"): ("GeminiReader", None),
    ("POST", "/v1beta/models/gemini-embedding-001:batchEmbedContents"): ("GeminiReader", None),
    ("POST", f"{G}/gemini:countTokens"): ("CountReader", "not_applicable"),
    ("POST", f"{G}/gemini:computeTokens"): ("CountReader", "not_applicable"),
    ("POST", f"{G}/imagen:predict"): ("PredictReader", None),
    ("POST", f"{G}/veo:predictLongRunning"): ("SubmissionReader", None),
    ("POST", f"{G}/veo:fetchPredictOperation"): ("PollReader", "not_applicable"),
    ("GET", "/v1beta/models/veo/operations/1"): ("PollReader", "not_applicable"),
    ("POST", f"{P}/publishers/anthropic/models/claude:rawPredict"): ("AnthropicReader", None),
    ("POST", f"{P}/publishers/anthropic/models/claude:streamRawPredict"): ("AnthropicReader", None),
    ("POST", f"{P}/publishers/anthropic/models/count-tokens:rawPredict"): ("CountReader", "not_applicable"),
    ("POST", f"{P}/publishers/mistralai/models/mistral:rawPredict"): ("ChatReader", None),
    ("POST", f"{P}/publishers/ai21/models/jamba:rawPredict"): ("ChatReader", None),
    # What a container answers is guessed.
    ("POST", f"{P}/publishers/someone/models/x:rawPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/publishers/someone/models/x:streamRawPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:rawPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:streamRawPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:serverStreamingPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:directPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:directRawPredict"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:explain"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9/invoke/v1/chat/completions"): ("PredictReader", "unsupported"),
    ("POST", f"{P}/endpoints/9:predict"): ("PredictReader", None),
    ("POST", f"{P}/endpoints/openapi/chat/completions"): ("ChatReader", None),
    ("POST", f"{P}/endpoints/openapi/responses"): ("ResponsesReader", None),
    ("GET", f"{P}/endpoints/9/responses/resp_1"): ("ResponsesReader, polled", "not_applicable"),
    ("GET", f"{P}/publishers/openai/v1/responses/resp_1"): ("ResponsesReader, polled", "not_applicable"),
    ("POST", "/v1/chat/completions"): ("ChatReader", None),
    ("POST", "/v1/completions"): ("ChatReader", None),
    ("POST", "/v1/embeddings"): ("ChatReader", None),
    ("POST", "/v1/responses"): ("ResponsesReader", None),
    ("GET", "/v1/responses/resp_1"): ("ResponsesReader, polled", "not_applicable"),
    ("DELETE", "/v1/responses/resp_1"): (None, "not_applicable"),
    ("POST", "/v1/responses/resp_1/cancel"): ("ResponsesReader, polled", "not_applicable"),
    ("POST", "/v1/responses/input_tokens"): ("CountReader", "not_applicable"),
    ("POST", "/v1/responses/compact"): ("ResponsesReader", None),
    ("POST", "/v1/images/generations"): ("ImagesReader", None),
    ("POST", "/v1/images/edits"): ("ImagesReader", None),
    ("POST", "/v1/images/variations"): ("ImagesReader", None),
    ("POST", "/v1/messages"): ("AnthropicReader", None),
    ("POST", "/v1/messages/count_tokens"): ("CountReader", "not_applicable"),
    ("GET", "/v1/models"): (None, "not_applicable"),
    ("POST", "/v1/chat/completions/"): ("ChatReader", None),
    # A chat that is stored: it is told again, with its usage.
    ("POST", "/v1/chat/completions/chatcmpl-1"): (None, "not_applicable"),
    ("GET", "/v1/chat/completions/chatcmpl-1"): (None, "not_applicable"),
    ("DELETE", "/v1/chat/completions/chatcmpl-1"): (None, "not_applicable"),
    ("POST", "/v1/decisions"): ("ChatReader", None),
    ("POST", "/v1/threads/thread_1/runs"): ("ChatReader", None),
    ("POST", "/v1/threads/thread_1/runs/run_1/submit_tool_outputs"): ("ChatReader", None),
    ("POST", "/v1/threads/thread_1/runs/run_1"): (None, "not_applicable"),
    ("POST", "/v1/audio/transcriptions"): ("AudioReader", None),
    ("POST", "/v1/audio/translations"): ("AudioReader", None),
    ("POST", "/v1/audio/speech"): ("AudioReader", None),
    ("POST", f"{P}/endpoints/openapi/audio/speech"): ("AudioReader", None),
    ("POST", "/v1/moderations"): (None, "not_applicable"),
    ("POST", "/v1/realtime/client_secrets"): (None, "not_applicable"),
    ("POST", "/v1/realtime/sessions"): (None, "not_applicable"),
    ("GET", "/v1/realtime"): (None, "unsupported"),
    ("POST", "/v1/realtime/calls"): (None, "unsupported"),
    ("POST", "/v1/fine_tuning/jobs"): (None, "unsupported"),
    ("POST", "/v1/evals/eval_1/runs"): (None, "unsupported"),
    ("POST", "/v1/videos"): ("JobReader", None),
    ("POST", "/v1/videos/edits"): ("JobReader", None),
    ("POST", "/v1/videos/extensions"): ("JobReader", None),
    ("POST", "/v1/videos/video_1/remix"): ("JobReader", None),
    ("GET", "/v1/videos/video_1"): ("JobReader, polled", "not_applicable"),
    ("GET", "/v1/videos/video_1/content"): (None, "not_applicable"),
    ("POST", "/v1/batches"): ("BatchReader", None),
    ("GET", "/v1/batches/batch_1"): ("BatchReader, polled", "not_applicable"),
    ("GET", "/v1/batches"): ("BatchReader, polled", "not_applicable"),
    ("POST", "/v1/batches/batch_1/cancel"): ("BatchReader, polled", "not_applicable"),
    ("POST", "/v1beta/models/gemini:batchGenerateContent"): ("BatchReader", None),
    ("POST", "/v1beta/models/gemini:asyncBatchEmbedContent"): ("BatchReader", None),
    ("GET", "/v1beta/batches/123"): ("BatchReader, polled", "not_applicable"),
    ("GET", f"{P}/cachedContents"): (None, "not_applicable"),
    ("POST", f"{P}/cachedContents"): (None, "not_applicable"),
    ("GET", f"{G}"): (None, "not_applicable"),
    ("POST", f"{P}/batchPredictionJobs"): ("BatchReader", None),
    ("GET", f"{P}/batchPredictionJobs/1"): ("BatchReader, polled", "not_applicable"),
    ("GET", f"{P}/batchPredictionJobs"): (None, "not_applicable"),
    ("POST", f"{P}/interactions"): ("InteractionsReader", None),
    ("POST", f"{P}/interactionsHttp"): ("InteractionsReader", None),
    ("POST", f"{P}/interactions:create"): ("InteractionsReader", None),
    ("POST", f"{P}/interactions:createStream"): ("InteractionsReader", None),
    ("GET", "/v1beta/interactions/live"): ("LiveInteractionsReader", None),
    ("POST", f"{P}/decisions"): ("InteractionsReader", None),
    ("POST", f"{P}/voices"): ("InteractionsReader", None),
    ("POST", f"{P}/voices:create"): ("InteractionsReader", None),
    ("POST", "/v1beta/interactions"): ("InteractionsReader", None),
    ("GET", f"{P}/interactions/v1_x"): ("InteractionsReader, polled", "not_applicable"),
    ("GET", f"{P}/interactionsHttp/v1_x"): ("InteractionsReader, polled", "not_applicable"),
    ("GET", "/v1beta1/interactions/v1_x:poll"): ("InteractionsReader, polled", "not_applicable"),
    ("GET", "/v1beta1/interactions/v1_x:stream"): ("InteractionsReader, polled", "not_applicable"),
    ("GET", "/v1beta/interactions/v1_x"): ("InteractionsReader, polled", "not_applicable"),
    ("POST", f"{P}/interactions/v1_x/cancel"): ("InteractionsReader, polled", "not_applicable"),
    ("POST", f"{P}/interactionsHttp/v1_x/cancel"): ("InteractionsReader, polled", "not_applicable"),
    ("POST", "/v1beta1/interactions/v1_x/cancel"): ("InteractionsReader, polled", "not_applicable"),
    ("POST", "/v1beta1/interactions/v1_x:cancel"): ("InteractionsReader, polled", "not_applicable"),
    ("POST", "/v1beta/interactions/v1_x/cancel"): ("InteractionsReader, polled", "not_applicable"),
    ("DELETE", f"{P}/interactions/v1_x"): (None, "not_applicable"),
    ("DELETE", "/v1beta/interactions/v1_x"): (None, "not_applicable"),
    ("POST", "/google.cloud.aiplatform.v1.PredictionService/GenerateContent"): (None, "unsupported"),
    ("POST", "/google.cloud.aiplatform.v1.ModelService/ListModels"): (None, "not_applicable"),
    ("GET", "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"): ("LiveReader", None),
    ("GET", "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"): (
        "LiveReader",
        None,
    ),
    ("GET", "/favicon.ico"): (None, "unsupported"),
}
"""How a call is asked for -> what reads its answer, and the state of its usage if nothing but the path tells it."""


def test_what_reads_what() -> None:
    def found(method: str, path: str) -> tuple[str | None, str | None]:
        usage = usage_of(parse(method, path), method, model="m")
        return name_of(usage.reader) if usage.reader else None, usage.state

    assert {asked: found(*asked) for asked in READERS} == READERS


def name_of(reader: Reader) -> str:
    return f"{name_of(reader._answer)}, polled" if isinstance(reader, PolledReader) else type(reader).__name__


def test_anthropics_list_of_models() -> None:
    usage = usage_of(parse("GET", "/v1/models", "anthropic"), "GET", model=None)
    assert usage == (None, "not_applicable")


def test_the_model_tells_what_a_prediction_is() -> None:
    target = parse("POST", f"{G}/imagen-4.0:predict")
    reader = usage_of(target, "POST", "imagen-4.0").reader
    assert reader
    reader.read({})
    assert reader.reading.images == 0
