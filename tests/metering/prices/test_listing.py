from metering.prices import listing
from metering.prices.catalog import EVERYONES


def test_each_rate_is_a_row() -> None:
    rows = list(listing.rows(EVERYONES.about("gemini-2.5-pro")))
    assert all(tuple(row) == listing.COLUMNS for row in rows)
    told = {(row["kind"], row["tier"], row["above"]): row["usd"] for row in rows}
    assert told["input", "standard", 0] == 1.25
    assert told["input", "standard", 200_000] == 2.5
    assert told["output", "flex", 200_000] == 7.5
    assert told["output", "provisioned", 0] == 0
    assert told["search_prompt", None, 0] == 0.035
    assert {row["checked"] for row in rows} == {"2026-11-28"}


def test_units_and_factors() -> None:
    told = {row["kind"]: (row["usd"], row["per"]) for row in listing.rows(EVERYONES.about("claude-haiku-4-5"))}
    assert told["regional"] == (1.1, "times")
    assert told["search_query"] == (0.01, "search query")
    videos = [row for row in listing.rows(EVERYONES.about("veo-3.1-fast-generate-001")) if row["since"]]
    assert ("video_second 4k+audio", 0.3, "video second") in [(row["kind"], row["usd"], row["per"]) for row in videos]


def test_columns() -> None:
    assert " ".join(listing.COLUMNS) == "model publisher kind tier above usd per since checked source"


def test_what_is_the_same_in_all_rows() -> None:
    common = ["-", "input", "standard"]
    rows = [["m", *common, "0", "1.0", "x", "-", "-", "s"], ["m", *common, "200,000", "2.0", "x", "-", "-", "s"]]
    lines, headings, texts = listing.apart(rows)
    assert lines == ["model: m", "kind: input", "tier: standard", "per: x", "source: s"]
    assert (headings, texts) == (["above", "usd"], [["0", "1.0"], ["200,000", "2.0"]])
    assert listing.apart(rows[:1]) == ([], [*listing.COLUMNS], rows[:1])
