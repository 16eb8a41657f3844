"""gRPC, as google-cloud-aiplatform speaks it: which messages its methods have, and which of their fields are read.

`SCHEMA` turns a message into the JSON that the same method answers over HTTP, so the same readers read it. The numbers
are those of google-cloud-aiplatform 2.7.0 (aiplatform_v1 and aiplatform_v1beta1, which agree), which is generated from
Google's proto files.
"""

from collections.abc import Callable

from metering.call import UsageState
from metering.protobuf import VALUES
from metering.protobuf import Field
from metering.protobuf import Schema
from metering.usage.counting import CountReader
from metering.usage.formats import RAW_PREDICT
from metering.usage.formats import Usage
from metering.usage.gemini import GeminiReader
from metering.usage.openai import ChatReader
from metering.usage.predict import PredictReader
from metering.usage.reader import Reader

REQUESTS = {
    "generateContent": "GenerateContentRequest",
    "streamGenerateContent": "GenerateContentRequest",
    "embedContent": "EmbedContentRequest",
    "countTokens": "CountTokensRequest",
    "computeTokens": "ComputeTokensRequest",
    "predict": "PredictRequest",
    "rawPredict": "RawPredictRequest",
    "streamRawPredict": "StreamRawPredictRequest",
    "chatCompletions": "ChatCompletionsRequest",
    "serverStreamingPredict": "StreamingPredictRequest",
    "streamingPredict": "StreamingPredictRequest",
    "streamingRawPredict": "StreamingRawPredictRequest",
    "directPredict": "DirectPredictRequest",
    "directRawPredict": "DirectRawPredictRequest",
    "streamDirectPredict": "StreamDirectPredictRequest",
    "streamDirectRawPredict": "StreamDirectRawPredictRequest",
    "explain": "ExplainRequest",
}
"""Operation -> the message of its request, which names the model or the endpoint."""
ANSWERS = {
    "generateContent": "GenerateContentResponse",
    "streamGenerateContent": "GenerateContentResponse",
    "embedContent": "EmbedContentResponse",
    "countTokens": "CountTokensResponse",
    "computeTokens": "ComputeTokensResponse",
    "predict": "PredictResponse",
    "explain": "ExplainResponse",
    "rawPredict": "HttpBody",
    "streamRawPredict": "HttpBody",
    "chatCompletions": "HttpBody",
    "directRawPredict": "DirectRawPredictResponse",
    "streamDirectRawPredict": "StreamDirectRawPredictResponse",
    "streamingRawPredict": "StreamingRawPredictResponse",
}
"""Operation -> the message of its answer. The tensors that other methods answer tell no usage."""
READERS: dict[str, Callable[[], Reader]] = {
    "generateContent": GeminiReader,
    "streamGenerateContent": GeminiReader,
    "embedContent": GeminiReader,
    "countTokens": CountReader,
    "computeTokens": CountReader,
    "chatCompletions": ChatReader,
}
"""Operation -> its reader, where neither model nor publisher decides."""
STREAMED = frozenset(
    "streamGenerateContent streamRawPredict chatCompletions serverStreamingPredict streamingPredict streamingRawPredict"
    " streamDirectPredict streamDirectRawPredict".split()
)
"""The operations that answer with several messages."""

ENDPOINT = {1: Field("endpoint", "string")}
USAGE = {
    1: Field("promptTokenCount", "int"),
    2: Field("candidatesTokenCount", "int"),
    3: Field("totalTokenCount", "int"),
    5: Field("cachedContentTokenCount", "int"),
    8: Field("trafficType", "TrafficType"),
    9: Field("promptTokensDetails", "ModalityTokenCount", True),
    10: Field("cacheTokensDetails", "ModalityTokenCount", True),
    11: Field("candidatesTokensDetails", "ModalityTokenCount", True),
    12: Field("toolUsePromptTokensDetails", "ModalityTokenCount", True),
    13: Field("toolUsePromptTokenCount", "int"),
    14: Field("thoughtsTokenCount", "int"),
}
MESSAGES: dict[str, dict[int, Field]] = {
    "GenerateContentRequest": {5: Field("model", "string")},
    "EmbedContentRequest": {1: Field("model", "string")},
    "CountTokensRequest": {1: Field("endpoint", "string"), 3: Field("model", "string")},
    "ComputeTokensRequest": {1: Field("endpoint", "string"), 3: Field("model", "string")},
    "PredictRequest": ENDPOINT,
    "RawPredictRequest": ENDPOINT,
    "StreamRawPredictRequest": ENDPOINT,
    "ChatCompletionsRequest": ENDPOINT,
    "StreamingPredictRequest": ENDPOINT,
    "StreamingRawPredictRequest": ENDPOINT,
    "DirectPredictRequest": ENDPOINT,
    "DirectRawPredictRequest": ENDPOINT,
    "StreamDirectPredictRequest": ENDPOINT,
    "StreamDirectRawPredictRequest": ENDPOINT,
    "ExplainRequest": ENDPOINT,
    "GenerateContentResponse": {
        2: Field("candidates", "Candidate", True),
        3: Field("promptFeedback", "PromptFeedback"),
        4: Field("usageMetadata", "UsageMetadata"),
        11: Field("modelVersion", "string"),
        13: Field("responseId", "string"),
    },
    "Candidate": {
        1: Field("index", "int"),
        2: Field("content", "Content"),
        3: Field("finishReason", "FinishReason"),
        7: Field("groundingMetadata", "GroundingMetadata"),
    },
    "Content": {2: Field("parts", "Part", True)},
    "Part": {1: Field("text", "seen"), 2: Field("inlineData", "Blob"), 10: Field("thought", "bool")},
    "Blob": {1: Field("mimeType", "string")},
    "GroundingMetadata": {1: Field("webSearchQueries", "string", True)},
    "PromptFeedback": {1: Field("blockReason", "BlockedReason")},
    "UsageMetadata": USAGE,
    "ModalityTokenCount": {1: Field("modality", "Modality"), 2: Field("tokenCount", "int")},
    "EmbedContentResponse": {1: Field("embedding", "Embedding"), 2: Field("usageMetadata", "UsageMetadata")},
    "Embedding": {},
    "CountTokensResponse": {1: Field("totalTokens", "int")},
    "ComputeTokensResponse": {1: Field("tokensInfo", "TokensInfo", True)},
    "TokensInfo": {2: Field("tokenIds", "int", True)},
    "PredictResponse": {
        1: Field("predictions", "Value", True),
        4: Field("modelDisplayName", "string"),
        6: Field("metadata", "Value"),
    },
    "ExplainResponse": {3: Field("predictions", "Value", True)},
    "HttpBody": {2: Field("data", "bytes")},
    "DirectRawPredictResponse": {1: Field("output", "bytes")},
    "StreamDirectRawPredictResponse": {1: Field("output", "bytes")},
    "StreamingRawPredictResponse": {1: Field("output", "bytes")},
}
"""Message -> field number -> field."""
ENUMS = {
    "FinishReason": {
        0: "FINISH_REASON_UNSPECIFIED",
        1: "STOP",
        2: "MAX_TOKENS",
        3: "SAFETY",
        4: "RECITATION",
        5: "OTHER",
        6: "BLOCKLIST",
        7: "PROHIBITED_CONTENT",
        8: "SPII",
        9: "MALFORMED_FUNCTION_CALL",
        10: "MODEL_ARMOR",
    },
    "BlockedReason": {
        0: "BLOCKED_REASON_UNSPECIFIED",
        1: "SAFETY",
        2: "OTHER",
        3: "BLOCKLIST",
        4: "PROHIBITED_CONTENT",
        5: "MODEL_ARMOR",
        6: "JAILBREAK",
    },
    "TrafficType": {
        0: "TRAFFIC_TYPE_UNSPECIFIED",
        1: "ON_DEMAND",
        2: "PROVISIONED_THROUGHPUT",
        3: "ON_DEMAND_PRIORITY",
        4: "ON_DEMAND_FLEX",
    },
    "Modality": {0: "MODALITY_UNSPECIFIED", 1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"},
}
"""Enum -> number -> name."""
SCHEMA = Schema(MESSAGES | VALUES, ENUMS)


def usage_of_grpc(operation: str, model: str | None, publisher: str | None) -> Usage:
    """How the answer to an operation of `ANSWERS` is read. `model` and `publisher` are those of the request."""
    if operation in ("predict", "explain"):
        return Usage(PredictReader(model), None)
    if model == "count-tokens":
        return Usage(CountReader(), UsageState.NOT_APPLICABLE)
    factory = READERS.get(operation) or RAW_PREDICT.get(publisher or "")
    if factory is None:
        # The container of a model answers in any format.
        return Usage(PredictReader(model), UsageState.UNSUPPORTED)
    reader = factory()
    return Usage(reader, UsageState.NOT_APPLICABLE if isinstance(reader, CountReader) else None)
