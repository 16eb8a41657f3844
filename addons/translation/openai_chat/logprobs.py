"""Log probabilities of tokens, which have the same form in chat completions and in Responses."""

from addons.translation.conversation import Json
from addons.translation.conversation import TokenLogprob
from metering.json_values import items
from metering.json_values import member
from metering.json_values import text_of

LEAST_LOGPROB = -9999.0
"""The log probability that OpenAI writes for a very unlikely token (OpenAI's API reference)."""


def read_tokens(tokens: object) -> list[TokenLogprob] | None:
    """The tokens in the `content` of a choice's `logprobs`; None if that is no list. Invalid values become "" and 0."""
    return [_read_token(token) for token in tokens] if isinstance(tokens, list) else None


def _read_token(token: object) -> TokenLogprob:
    logprob = member(token, "logprob")
    return TokenLogprob(
        text_of(member(token, "token")) or "",
        max(float(logprob), LEAST_LOGPROB) if isinstance(logprob, int | float) and abs(logprob) < 1e9 else 0.0,
        [_read_token(top) for top in items(member(token, "top_logprobs"))],
    )


def write_tokens(tokens: list[TokenLogprob]) -> list[Json]:
    """The tokens in OpenAI's form, each with its alternatives in `top_logprobs`."""
    return [_write_token(token) | {"top_logprobs": [_write_token(top) for top in token.top]} for token in tokens]


def _write_token(token: TokenLogprob) -> Json:
    return {
        "token": token.token,
        "logprob": max(token.logprob, LEAST_LOGPROB),
        "bytes": list(token.token.encode("utf-8", "replace")),
    }
