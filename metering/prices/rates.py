"""Rates: what the units of a call cost, and the cost of counts.

All amounts are exact decimals, in US dollars. Token rates are per million tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

PART_OF = {
    "input": None,
    "input_image": "input",
    "input_document": "input_image",
    "input_audio": "input",
    "input_video": "input",
    "cached": "input",
    "cached_audio": "cached",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "output": None,
    "output_image": "output",
    "output_audio": "output",
    "output_video": "output",
}
"""Kind of tokens -> the kind whose rate it has if it has none of its own. Pages of documents count
as images (`DOCUMENT` in the extractors of genai-prices 0.2.3)."""
INPUT = ("input", "input_image", "input_document", "input_audio", "input_video", "cache_write", "cache_write_1h")
CACHED = ("cached", "cached_audio")
OUTPUT = ("output", "output_image", "output_audio", "output_video")
UNCACHED = {"cached": "input", "cached_audio": "input_audio"}
"""Kind of cached tokens -> what they would have been without the cache."""
MILLION = Decimal(1_000_000)
ANY = "any"
"""The variant whose rate holds for all variants that have none of their own."""

Counts = Mapping[str, int | None]
"""Names of the rollup's sums, such as `input_tokens` -> counts; None if unknown."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What is billed in one price class. None: not billed by that unit. An empty mapping: not billed by tokens."""

    tokens: Mapping[str, Decimal]
    """Kind of PART_OF -> USD per million tokens."""
    image: Decimal | None = None
    video_second: Decimal | None = None
    item: Decimal | None = None
    search_query: Decimal | None = None
    search_prompt: Decimal | None = None
    """For each use that searched, however often."""
    unknown: bool = False
    """Whether the model is billed by something whose rate in this class is unknown, such as an unknown tier."""

    def of(self, kind: str) -> Decimal | None:
        """The rate of a kind of tokens, or of what it is part of."""
        at: str | None = kind
        while at is not None:
            if (rate := self.tokens.get(at)) is not None:
                return rate
            at = PART_OF[at]
        return None


class Cost(NamedTuple):
    """What the uses of one price class cost, in USD. Parts without a known rate and count are 0."""

    input: Decimal = Decimal()
    """Input that was not read from a cache; writing to a cache included."""
    cached: Decimal = Decimal()
    output: Decimal = Decimal()
    other: Decimal = Decimal()
    """Images, seconds of video, items, searches."""
    saved: Decimal = Decimal()
    """How much more the cached tokens would have cost without the cache."""
    is_known: bool = False
    """Whether anything had both a rate and a count."""
    unpriced: int = 0
    """How many uses lack a rate or a count."""

    @property
    def usd(self) -> float | None:
        """All of it, in US dollars; None if nothing is known."""
        return float(self.input + self.cached + self.output + self.other) if self.is_known else None

    def plus(self, other: "Cost") -> "Cost":
        """The cost of both."""
        return Cost(
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.other + other.other,
            self.saved + other.saved,
            self.is_known or other.is_known,
            self.unpriced + other.unpriced,
        )


def kinds(counts: Counts) -> dict[str, int]:
    """Tokens by kind, each in one kind only: what is no other kind is `input` or `output` (text, thoughts). Unknown
    parts are none.

    `input` may be negative: cached images are counted as images and as `cached`, as it is unknown which of the cached
    tokens were images. As images cost what text costs wherever there is a cache, the cost is right.
    """
    told = {name: count or 0 for name, count in counts.items()}
    cached_audio, written_1h = told["input_cached_audio_tokens"], told["input_cache_write_1h_tokens"]
    found = {
        "input_image": told["input_image_tokens"],
        "input_document": told["input_document_tokens"],
        "input_audio": told["input_audio_tokens"] - cached_audio,
        "input_video": told["input_video_tokens"],
        "cached": told["input_cached_tokens"] - cached_audio,
        "cached_audio": cached_audio,
        # Writes whose time is not told are for 5 minutes, which is the default.
        "cache_write": told["input_cache_write_tokens"] - written_1h,
        "cache_write_1h": written_1h,
        "output_image": told["output_image_tokens"],
        "output_audio": told["output_audio_tokens"],
        "output_video": told["output_video_tokens"],
    }
    found["input"] = told["input_tokens"] - sum(found[kind] for kind in (*INPUT[1:], *CACHED))
    found["output"] = told["output_tokens"] - sum(found[kind] for kind in OUTPUT[1:])
    return found


def cost(rates: Rates, counts: Counts, uses: int) -> Cost:
    """The cost of the uses of one price class. `counts` are their sums; `uses` is how many of them may lack a price.

    Nothing is negative, even if counts contradict each other, such as more cached tokens than input.
    """
    tokens = kinds(counts)

    def dollars(names: tuple[str, ...], count: str) -> Decimal:
        if counts[count] is None:
            return Decimal()
        parts = (tokens[kind] * rate for kind in names if (rate := rates.of(kind)) is not None)
        return max(sum(parts, Decimal()), Decimal()) / MILLION

    known = False
    missing = rates.unknown
    other = Decimal()
    for rate, count in (
        (rates.image, counts["images"]),
        (rates.video_second, counts["video_seconds"]),
        (rates.item, counts["input_items"]),
    ):
        if rate is not None and count is not None:
            known, other = True, other + rate * count
        missing = missing or (rate is not None and count is None)
    for kind in ("input", "output"):
        rate, count = rates.of(kind), counts[f"{kind}_tokens"]
        known = known or (rate is not None and count is not None)
        missing = missing or (rate is not None and count is None)
        # A model that is billed by tokens at all is billed by these.
        missing = missing or (bool(rates.tokens) and rate is None and bool(count))
    searches, searching = counts["search_queries"] or 0, counts["search_uses"] or 0
    by_search = rates.search_query is not None or rates.search_prompt is not None
    other += searches * (rates.search_query or 0) + searching * (rates.search_prompt or 0)
    saved = sum(
        (
            tokens[kind] * ((rates.of(without) or 0) - (rates.of(kind) or 0))
            for kind, without in UNCACHED.items()
            if rates.of(kind) is not None
        ),
        Decimal(),
    )
    return Cost(
        dollars(INPUT, "input_tokens"),
        dollars(CACHED, "input_cached_tokens"),
        dollars(OUTPUT, "output_tokens"),
        other,
        max(saved, Decimal()) / MILLION,
        known or (by_search and searching > 0),
        uses if missing else min(uses, 0 if by_search else searching),
    )
