"""OpenTelemetry's names for a call, and what is measured of it: the semantic conventions for generative AI.

Source: open-telemetry/semantic-conventions-genai v0.1.0 (its metrics are named `gen_ai.client.inference...`), and the
conventions before it, whose histograms `gen_ai.client.token.usage` and `gen_ai.client.operation.duration` dashboards
still show. All of them are experimental, so the names are in one place.

Nothing here has content of a call. A count that is unknown is not measured, not even as 0.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

from metering.call import Call
from metering.call import State
from metering.call import UsageState
from metering.hosts import api_of

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
MODALITY = "gen_ai.token.modality"
TOKEN_TYPE = "gen_ai.token.type"
ERROR = "error.type"
COMMON = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL)
"""The attributes that all metrics and spans have."""
UNKNOWN = "unknown"
"""The modality of tokens of which the upstream tells none."""

OPERATIONS = {
    **dict.fromkeys(("generateContent", "streamGenerateContent", "BidiGenerateContent"), "generate_content"),
    **dict.fromkeys(
        ("rawPredict", "streamRawPredict", "chat/completions", "responses", "messages", "realtime"), "chat"
    ),
    **dict.fromkeys(("interactions.create", "interactions.createStream"), "chat"),
    **dict.fromkeys(("embedContent", "batchEmbedContents", "embeddings"), "embeddings"),
    **dict.fromkeys(("completions", "complete"), "text_completion"),
    **{name: name for name in ("predict", "predictLongRunning", "images/generations", "images/edits", "videos")},
}
"""Operations that run a model -> `gen_ai.operation.name`. Operations without a name in the conventions keep ours."""
PROVIDERS = {
    "vertex": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "openai": "openai",
    "anthropic": "anthropic",
}
"""API -> `gen_ai.provider.name`: who answers, not who made the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """A metric. With `buckets` (their upper limits) it is a histogram, without a counter. `told_apart_by` is the
    attribute that it has beside the common ones."""

    name: str
    description: str
    unit: str
    told_apart_by: str
    buckets: tuple[float, ...] | None = None


_TOKENS = "{token}"
_TOKEN_BUCKETS = tuple(float(4**n) for n in range(14))
_SECOND_BUCKETS = tuple(round(0.01 * 2**n, 2) for n in range(14))
_INFERENCE = "gen_ai.client.inference"

INPUT = Instrument(f"{_INFERENCE}.usage.input_tokens", "Input tokens, cached ones included.", _TOKENS, MODALITY)
OUTPUT = Instrument(f"{_INFERENCE}.usage.output_tokens", "Output tokens, thoughts included.", _TOKENS, MODALITY)
CACHE_READ = Instrument(
    f"{_INFERENCE}.usage.cache_read.input_tokens", "Input tokens that were cached.", _TOKENS, MODALITY
)
CACHE_WRITE = Instrument(
    f"{_INFERENCE}.usage.cache_write.input_tokens", "Input tokens written to a cache.", _TOKENS, MODALITY
)
REASONING = Instrument(
    f"{_INFERENCE}.usage.reasoning.output_tokens", "Output tokens that are thoughts.", _TOKENS, MODALITY
)
DURATION = Instrument(f"{_INFERENCE}.duration", "How long calls took.", "s", ERROR, _SECOND_BUCKETS)
FIRST_CHUNK = Instrument(
    f"{_INFERENCE}.time_to_first_chunk", "How long the first piece of a stream took.", "s", ERROR, _SECOND_BUCKETS
)
TOKEN_USAGE = Instrument(
    "gen_ai.client.token.usage", "Tokens of a call (previous conventions).", _TOKENS, TOKEN_TYPE, _TOKEN_BUCKETS
)
OPERATION_DURATION = Instrument(
    "gen_ai.client.operation.duration", "How long calls took (previous conventions).", "s", ERROR, _SECOND_BUCKETS
)
INSTRUMENTS = (
    *(INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, DURATION, FIRST_CHUNK),
    *(TOKEN_USAGE, OPERATION_DURATION),
)

Measured = dict[tuple[Instrument, str], float]
"""(instrument, value of the attribute that tells apart; '' for none) -> amount."""


def has_failed(call: Call) -> bool:
    """Whether reports count the call as an error."""
    return call.state not in (State.OPEN, State.DONE) or (call.status or 0) >= 400 or call.error_type is not None


def error_of(call: Call) -> str:
    """`error.type`; empty if the call has not failed."""
    if not has_failed(call):
        return ""
    return call.error_type or (str(call.status) if (call.status or 0) >= 400 else call.state)


def provider_of(call: Call) -> str:
    """`gen_ai.provider.name`; empty if it is unknown.

    If the host tells nothing, as those of private endpoints, it follows from what the client speaks, or if the call
    was converted, from its path: all but Vertex AI's are OpenAI's then.
    """
    api = api_of(call.upstream_host) if call.upstream_host else None
    if api is None and call.rewritten:
        api = "vertex" if _OF_VERTEX.search(call.upstream_path or "") else "openai"
    return PROVIDERS.get(api or _SURFACES.get(call.surface or "", ""), "")


_OF_VERTEX = re.compile("/(?:projects|publishers)/")
_SURFACES = {"vertex-openai": "vertex", "vertex-live": "vertex", **{api: api for api in PROVIDERS}}
"""Surface -> API."""


def attributes(call: Call) -> dict[str, str]:
    """The common attributes of a call, without those that are unknown."""
    operation = call.operation or ""
    told = {
        OPERATION: OPERATIONS.get(operation, operation),
        PROVIDER: provider_of(call),
        REQUEST_MODEL: call.model,
        RESPONSE_MODEL: call.model_served,
    }
    return {name: value for name, value in told.items() if value}


def is_inference(call: Call) -> bool:
    """Whether a call ran a model, or should have. Lists and polls do not."""
    if call.usage_state == UsageState.NOT_APPLICABLE:
        return call.operation in OPERATIONS and has_failed(call)
    return call.state != State.OPEN


def measured(call: Call) -> Measured:
    """What is measured of a call that has ended."""
    if not is_inference(call):
        return {}
    found: Measured = {}
    error = error_of(call)
    if call.duration_us is not None:
        found[DURATION, error] = found[OPERATION_DURATION, error] = call.duration_us / 1e6
    if call.ttft_us is not None:
        found[FIRST_CHUNK, error] = call.ttft_us / 1e6
    for instrument, kind, tokens, parts in (
        (INPUT, "input", call.input_tokens, call.input_by_modality),
        (OUTPUT, "output", call.output_tokens, call.output_by_modality),
    ):
        if tokens is not None:
            found[TOKEN_USAGE, kind] = tokens
            for modality, part in _by_modality(tokens, parts or {}):
                found[instrument, modality] = part
    for instrument, tokens in (
        (CACHE_READ, call.input_cached_tokens),
        (CACHE_WRITE, call.input_cache_write_tokens),
        (REASONING, call.output_thought_tokens),
    ):
        if tokens is not None:
            found[instrument, UNKNOWN] = tokens
    return found


def _by_modality(tokens: int, parts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The tokens of each modality, and the rest as `unknown`. Together they are `tokens`, even if the parts are not."""
    for modality, part in parts.items():
        part = min(part, tokens)
        if part > 0:
            tokens -= part
            yield modality, part
    if tokens or not parts:
        yield UNKNOWN, tokens


def difference(before: Measured, after: Measured) -> Measured:
    """What to add if `before` was added already and the call now has `after`. A counter gets what is more, a histogram
    only a first value, as it cannot take one back."""
    found: Measured = {}
    for key, amount in after.items():
        earlier = before.get(key)
        if earlier is None:
            found[key] = amount
        elif key[0].buckets is None and amount > earlier:
            found[key] = amount - earlier
    return found
