"""Chooses the reader for the response to a call, by its operation and publisher."""

import re
from collections.abc import Callable
from typing import NamedTuple

from metering.call import UsageState
from metering.paths import Target
from metering.usage.anthropic import AnthropicReader
from metering.usage.audio import AudioReader
from metering.usage.counting import CountReader
from metering.usage.gemini import GeminiReader
from metering.usage.gemini import LiveReader
from metering.usage.openai import ChatReader
from metering.usage.openai import ImagesReader
from metering.usage.openai import ResponsesReader
from metering.usage.predict import PredictReader
from metering.usage.reader import Reader
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
    "BidiGenerateContent": LiveReader,
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
    "threads/runs": ChatReader,
    "threads/runs/submit_tool_outputs": ChatReader,
}
ANTHROPIC: dict[str, Callable[[], Reader]] = {
    "messages": AnthropicReader,
    "messages/count_tokens": CountReader,
}
OPENAI_WITHOUT_USE = re.compile(
    r"models|files|uploads.*|moderations|content_provenance_checks|audio/voices|audio/voice_consents|videos/characters"
    r"|vector_stores.*|conversations.*|assistants|threads|threads/messages|evals|skills.*|.*/cancel"
    r"|fine_tuning/alpha/graders/validate|fine_tuning/checkpoints/permissions|fine_tuning/jobs/(?:pause|resume)"
    r"|realtime/(?:sessions|transcription_sessions|client_secrets|translations/client_secrets)"
    r"|realtime/calls/(?:reject|refer|hangup)|live/sessions/(?:reject|refer|hangup|content)|containers/files"
)
"""POSTs of OpenAI's API that use nothing. All others that are not read do: they are `unsupported`."""
OPENAI_CONNECTIONS = ("realtime", "realtime/translations", "live", "live/sessions")
"""Operations of OpenAI's API that are WebSocket connections, which begin with a GET."""
NOT_APPLICABLE = re.compile(
    r"countTokens|computeTokens|fetchPredictOperation|messages/count_tokens"
    r"|(?:cachedContents|models|operations|endpoints|tuningJobs|files)\..*|.*\.(?:list|delete)|models|files(?:/content)?"
)
"""Operations that use nothing."""


def usage_of(target: Target | None, method: str, model: str | None) -> Usage:
    """The reader for the response to a call, and the `usage_state` if that response is complete."""
    if target is None or target.operation is None or "rpc_service" in target.fields:
        return UNREAD
    reader: Reader | None = None
    operation = target.operation
    if "openai" in target.fields:
        return _of_openai(target.fields["openai"], operation, method)
    if target.surface == "anthropic":
        reader = ANTHROPIC[operation]()
    elif operation == "predict":
        reader = PredictReader(model)
    elif operation in CONTAINERS:
        if target.fields.get("model") == "count-tokens":
            return Usage(CountReader(), UsageState.NOT_APPLICABLE)
        factory = RAW_PREDICT.get(target.publisher or "")
        return Usage(factory(), None) if factory else Usage(PredictReader(model), UsageState.UNSUPPORTED)
    elif operation in GOOGLE:
        reader = GOOGLE[operation]()
    if NOT_APPLICABLE.fullmatch(operation):
        return Usage(reader, UsageState.NOT_APPLICABLE)
    return Usage(reader, None if reader else UsageState.UNSUPPORTED)


def _of_openai(path: str, operation: str, method: str) -> Usage:
    if operation == "responses/input_tokens":
        return Usage(CountReader(), UsageState.NOT_APPLICABLE)
    if operation in OPENAI_CONNECTIONS and method == "GET":
        return UNREAD
    # What is sent to the path of a single object, such as `chat/completions/{id}`, changes it, and answers with it.
    is_of_one = not operation.endswith(path.rstrip("/").rpartition("/")[2])
    if method != "POST" or is_of_one or OPENAI_WITHOUT_USE.fullmatch(operation):
        return Usage(None, UsageState.NOT_APPLICABLE)
    factory = OPENAI.get(operation)
    return Usage(factory(), None) if factory else UNREAD
