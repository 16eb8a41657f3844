"""Reads the responses of operations that only count tokens: Gemini's countTokens and computeTokens, and those of
Anthropic and OpenAI."""

from metering.call import count
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader


class CountReader(Reader):
    """Reads `totalTokens` (Gemini), `input_tokens` (Anthropic, OpenAI) or the token ids of computeTokens."""

    wanted = ERROR_NAMES | both("totalTokens inputTokens tokensInfo tokenIds")

    def read(self, event: object) -> None:
        if take_error(self._reading, event):
            return
        totals = (count(member(event, name)) for name in ("totalTokens", "inputTokens"))
        self._reading.counted_tokens = next((total for total in totals if total is not None), None)
        if texts := items(member(event, "tokensInfo")):
            self._reading.counted_tokens = sum(len(items(member(text, "tokenIds"))) for text in texts)
