"""Chooses the reader for the response to a call, by its operation and publisher."""

from collections.abc import Callable
from typing import NamedTuple

from metering.call import UsageState
from metering.paths import Target
from metering.usage.anthropic import AnthropicReader
from metering.usage.audio import AudioReader
from metering.usage.batches import BatchReader
from metering.usage.counting import CountReader
from metering.usage.gemini import GeminiReader
from metering.usage.gemini import LiveReader
from metering.usage.interactions import InteractionsReader
from metering.usage.interactions import LiveInteractionsReader
from metering.usage.openai import ChatReader
from metering.usage.openai import ImagesReader
from metering.usage.openai import ResponsesReader
from metering.usage.polls import PolledReader
from metering.usage.predict import PredictReader
from metering.usage.reader import Reader
from metering.usage.realtime import RealtimeReader
from metering.usage.spending import may_spend
from metering.usage.videos import JobReader
from metering.usage.videos import PollReader
from metering.usage.videos import SubmissionReader


class Usage(NamedTuple):
    """How the usage of a call is read."""

    reader: Reader | None
    state: UsageState | None
    """The `usage_state` of a call with a complete response; None if that depends on the counts. It depends on them too
    if this is `unsupported` and there is a reader, which then guesses the format: without counts it guessed wrong."""


UNREAD = Usage(None, UsageState.UNSUPPORTED)
"""For a response whose format is unknown, or that takes too much work to read."""

GOOGLE: dict[str, Callable[[], Reader]] = {
    "generateContent": GeminiReader,
    "streamGenerateContent": GeminiReader,
    "embedContent": GeminiReader,
    "batchEmbedContents": GeminiReader,
    "countTokens": CountReader,
    "computeTokens": CountReader,
    "predictLongRunning": SubmissionReader,
    "fetchPredictOperation": PollReader,
    "operations.get": PollReader,
    "batchPredictionJobs.create": BatchReader,
    "batchGenerateContent": BatchReader,
    "asyncBatchEmbedContent": BatchReader,
    "BidiGenerateContent": LiveReader,
    "BidiGenerateContentConstrained": LiveReader,
    "interactions.create": InteractionsReader,
    "interactions.createStream": InteractionsReader,
    "interactions.live": LiveInteractionsReader,
    "voices.create": InteractionsReader,
    "decisions.create": InteractionsReader,
}
RAW_PREDICT: dict[str, Callable[[], Reader]] = {
    "anthropic": AnthropicReader,
    "mistralai": ChatReader,
    "ai21": ChatReader,
}
"""Publisher -> its reader. rawPredict and streamRawPredict use the publisher's own format."""
CONTAINERS = (
    "rawPredict",
    "streamRawPredict",
    "serverStreamingPredict",
    "directPredict",
    "directRawPredict",
    "explain",
    "invoke",
)
"""Operations that pass on what the container of a model answers, whatever its format. Most speak OpenAI's."""
OPENAI: dict[str, Callable[[], Reader]] = {
    "chat/completions": ChatReader,
    "completions": ChatReader,
    "embeddings": ChatReader,
    "decisions": ChatReader,
    "responses": ResponsesReader,
    "responses/compact": ResponsesReader,
    "images/generations": ImagesReader,
    "images/edits": ImagesReader,
    "images/variations": ImagesReader,
    "audio/transcriptions": AudioReader,
    "audio/translations": AudioReader,
    "audio/speech": AudioReader,
    "batches": BatchReader,
    "videos": JobReader,
    "videos/edits": JobReader,
    "videos/extensions": JobReader,
    "videos/remix": JobReader,
    "threads/runs": ChatReader,
    "threads/runs/submit_tool_outputs": ChatReader,
}
RESPONSES = "responses"
"""The operation that may be a WebSocket connection with several responses, each of which is a call."""
OPENAI_SOCKETS: dict[str, Callable[[], Reader]] = {
    "realtime": RealtimeReader,
    "realtime/translations": RealtimeReader,
    "live": RealtimeReader,
    "live/sessions/attach": RealtimeReader,
    "live/sessions/fork": RealtimeReader,
}
"""Operations that are WebSocket connections, each of which is one call."""
ANTHROPIC: dict[str, Callable[[], Reader]] = {
    "messages": AnthropicReader,
    "messages/count_tokens": CountReader,
}
POLLED: dict[tuple[str, str], Callable[[], Reader]] = {
    ("GET", "responses"): ResponsesReader,
    ("POST", "responses/cancel"): ResponsesReader,
    ("GET", "videos"): JobReader,
    ("GET", "batches"): BatchReader,
    ("POST", "batches/cancel"): BatchReader,
    ("GET", "batches.get"): BatchReader,
    ("GET", "batchPredictionJobs.get"): BatchReader,
    ("GET", "interactions.get"): InteractionsReader,
    ("GET", "interactions.poll"): InteractionsReader,
    ("GET", "interactions.stream"): InteractionsReader,
    ("POST", "interactions.cancel"): InteractionsReader,
}
"""(Method, operation) -> the reader of an answer that was made in the background, and is asked for now."""


def usage_of(target: Target | None, method: str, model: str | None) -> Usage:
    """The reader for the response to a call, and the `usage_state` if that response is complete."""
    idle = not may_spend(target, method)
    if target is None or target.operation is None or "rpc_service" in target.fields:
        return Usage(None, UsageState.NOT_APPLICABLE) if idle else UNREAD
    reader: Reader | None = None
    operation = target.operation
    if polled := POLLED.get((method, operation)):
        return Usage(PolledReader(polled()), UsageState.NOT_APPLICABLE)
    if target.surface in ("openai", "vertex-openai"):
        if operation == "responses/input_tokens":
            reader = CountReader()
        elif operation in OPENAI and not idle:
            reader = OPENAI[operation]()
    elif target.surface == "anthropic":
        if operation in ANTHROPIC:
            reader = ANTHROPIC[operation]()
    elif operation == "predict":
        reader = PredictReader(model)
    elif operation in CONTAINERS:
        if target.fields.get("model") == "count-tokens":
            return Usage(CountReader(), UsageState.NOT_APPLICABLE)
        factory = RAW_PREDICT.get(target.publisher or "")
        if not factory and not idle:
            return Usage(PredictReader(model), UsageState.UNSUPPORTED)
        reader = factory() if factory else None
    elif operation in GOOGLE:
        reader = GOOGLE[operation]()
    if idle:
        return Usage(reader, UsageState.NOT_APPLICABLE)
    return Usage(reader, None if reader else UsageState.UNSUPPORTED)
