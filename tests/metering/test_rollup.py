import json
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import rollup
from metering.call import COLUMNS
from metering.verify import verify
from tests.ledgers import empty

PUT = (
    f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS)}"
)
KINDS = ("text", "image", "audio", "video", "document")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def put(db: sqlite3.Connection, id: str, **columns: object) -> None:
    """Insert or update a row; columns that are not named stay as they are. It is always the same statement, as SQLite
    takes long to compile the triggers for another."""
    found = db.execute(f"SELECT {', '.join(COLUMNS)} FROM calls WHERE id = ?", (id,)).fetchone()
    row = dict(zip(COLUMNS, found or [None] * len(COLUMNS), strict=True))
    defaults = {"id": id, "instance": "i", "started_at": 0, "rewritten": 0, "attempts": 1, "state": "done"}
    db.execute(PUT, row | defaults | columns)


def sums(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    names = ", ".join(f"sum({name})" for name in ("calls", "errors", "covered_calls", "input_tokens"))
    return db.execute(f"SELECT model, state, {names} FROM rollup GROUP BY 1, 2 ORDER BY 1, 2").fetchall()


def is_sound(db: sqlite3.Connection) -> bool:
    found = verify(db, lambda instance: True)
    return not found["the rollup is the sum of the rows"] and not found["the histograms match the rows"]


def test_a_call_counts_when_it_is_closed(db: sqlite3.Connection) -> None:
    put(db, "a", state="open", model="g")
    assert sums(db) == []
    put(db, "a", state="done", model="g", usage_state="final", input_tokens=5)
    assert sums(db) == [("g", "done", 1, 0, 1, 5)]


def test_a_later_count_replaces_the_earlier(db: sqlite3.Connection) -> None:
    put(db, "a", model="g", input_tokens=5)
    put(db, "a", model="g", input_tokens=8)
    assert sums(db) == [("g", "done", 1, 0, 0, 8)]


def test_unknown_stays_unknown(db: sqlite3.Connection) -> None:
    put(db, "a", model="g")
    put(db, "b", model="g")
    assert sums(db) == [("g", "done", 2, 0, 0, None)]
    put(db, "c", model="g", input_tokens=0)
    assert sums(db) == [("g", "done", 3, 0, 0, 0)]


def test_a_row_that_changes_its_group(db: sqlite3.Connection) -> None:
    put(db, "a", model="g", input_tokens=5)
    put(db, "b", model="g")
    put(db, "a", model="h", input_tokens=5)
    # What is left in the old group is unknown again.
    assert sums(db) == [("g", "done", 1, 0, 0, None), ("h", "done", 1, 0, 0, 5)]
    put(db, "b", model="h")
    assert sums(db) == [("h", "done", 2, 0, 0, 5)]


@pytest.mark.parametrize(
    ("columns", "errors"),
    [
        ({"status": 200}, 0),
        ({"status": 429}, 1),
        ({"status": 200, "error_type": "UNAVAILABLE"}, 1),
        ({"state": "client_closed"}, 1),
        ({"state": "refused", "status": 400}, 1),
        ({"state": "lost"}, 1),
    ],
)
def test_errors(db: sqlite3.Connection, columns: dict[str, object], errors: int) -> None:
    put(db, "a", **columns)
    assert [row[3] for row in sums(db)] == [errors]


def test_buckets_are_a_quarter_of_an_hour(db: sqlite3.Connection) -> None:
    for minute in (0, 14, 15, 59):
        put(db, str(minute), started_at=minute * 60_000_000)
    rows = db.execute("SELECT bucket / 60000000, calls FROM rollup ORDER BY bucket").fetchall()
    assert rows == [(0, 2), (15, 1), (45, 1)]


def test_names_that_look_like_sql(db: sqlite3.Connection) -> None:
    put(db, "a", model="""x"'); DROP TABLE calls; --""")
    assert is_sound(db)


def tried(db: sqlite3.Connection, call_id: str, n: int, **columns: object) -> None:
    """Insert an attempt."""
    columns = {"call_id": call_id, "n": n, "kind": "attempt", "started_at": 0} | columns
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    db.execute(f"INSERT INTO attempts ({names}) VALUES ({marks})", tuple(columns.values()))


def groups(db: sqlite3.Connection, names: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT {names} FROM rollup ORDER BY model, service, context, calls").fetchall()


@pytest.mark.parametrize(
    "name",
    (
        "model model_served publisher location project surface operation service client sdk tags state error_type"
        " traffic_type usage_state variant"
    ).split(),
)
def test_calls_that_differ_in_this_are_apart(db: sqlite3.Connection, name: str) -> None:
    put(db, "a", **{name: "one"})
    put(db, "b", **{name: "other"})
    put(db, "c", **{name: "other"})
    found = db.execute(f"SELECT {name}, calls FROM rollup ORDER BY calls").fetchall()
    assert found == [("one", 1), ("other", 2)]
    assert is_sound(db)


@pytest.mark.parametrize(("name", "rows"), [("reserved_tokens", 2), ("reserved_usd", 2), ("changed", 1)])
def test_what_is_not_summed_costs_no_sum(db: sqlite3.Connection, name: str, rows: int) -> None:
    """A change writes the row and its number, and nothing of the rollup."""
    put(db, "a")
    before = db.total_changes
    db.execute(f"UPDATE calls SET {name} = 99")
    assert db.total_changes - before == rows


def test_calls_of_another_status_are_apart(db: sqlite3.Connection) -> None:
    put(db, "a", status=200)
    put(db, "b", status=404)
    assert db.execute("SELECT status, calls FROM rollup ORDER BY status").fetchall() == [(200, 1), (404, 1)]


class TestAttempts:
    def test_each_is_summed_under_its_own_model(self, db: sqlite3.Connection) -> None:
        tried(db, "a", 1, service="first", model="g", location="us-east1", status=429)
        tried(db, "a", 2, service="second", model="h", location="global", status=200, input_tokens=5, output_tokens=1)
        put(
            db,
            "a",
            attempts=2,
            service="second",
            model="h",
            location="global",
            publisher="anthropic",
            project="p",
            status=200,
            usage_state="final",
            input_tokens=5,
            output_tokens=1,
            duration_us=1000,
        )
        names = "model, service, region, publisher, project, status, usage_state, calls, uses, input_tokens, times"
        assert groups(db, names) == [
            ("g", "first", "regional", "", "", 200, "not_applicable", 0, 1, None, "{}"),
            ("h", "second", "global", "anthropic", "p", 200, "final", 1, 1, 5, '{"d410":1,"t":1,"o":1}'),
        ]
        assert is_sound(db)

    def test_an_iteration_of_another_model(self, db: sqlite3.Connection) -> None:
        tried(db, "a", 1, service="s", model="opus", status=200, input_tokens=300_000)
        tried(db, "a", 2, kind="iteration", service="s", model="haiku", status=200, input_tokens=10)
        put(db, "a", service="s", model="opus", status=200, usage_state="final", input_tokens=300_010)
        assert groups(db, "model, context, calls, covered_calls, input_tokens, usage_state") == [
            ("haiku", 0, 0, 0, 10, "final"),
            ("opus", 272_000, 1, 1, 300_000, "final"),
        ]

    def test_an_iteration_is_of_the_calls_publisher_and_project(self, db: sqlite3.Connection) -> None:
        tried(db, "a", 1, model="opus", status=200, input_tokens=3)
        tried(db, "a", 2, kind="iteration", model="haiku", status=200, input_tokens=10)
        put(db, "a", model="opus", model_served="opus-1", publisher="anthropic", project="p", status=200)
        assert groups(db, "model, model_served, publisher, project, calls, uses") == [
            ("haiku", "haiku", "anthropic", "p", 0, 1),
            ("opus", "opus-1", "anthropic", "p", 1, 1),
        ]
        assert is_sound(db)

    def test_what_an_iteration_keeps_in_the_cache_for_an_hour(self, db: sqlite3.Connection) -> None:
        def written(tokens: int, hour: int, **members: str) -> dict[str, object]:
            split = {"ephemeral_1h_input_tokens": hour}
            return members | {"cache_creation_input_tokens": tokens, "cache_creation": split}

        raw = [written(5, 3, type="compaction"), written(7, 2, type="message"), written(9, 8, model="haiku")]
        tried(db, "a", 1, model="opus", status=200, input_cache_write_tokens=12)
        tried(db, "a", 2, kind="iteration", model="haiku", status=200, input_cache_write_tokens=9)
        usage = written(7, 2) | {"iterations": raw}
        put(db, "a", model="opus", input_cache_write_tokens=21, usage_raw=json.dumps(usage))
        put(db, "b", model="sonnet", input_cache_write_tokens=21, usage_raw=json.dumps(usage))
        # The list was shortened.
        put(db, "c", model="x", input_cache_write_tokens=21, usage_raw=json.dumps(usage | {"iterations": raw[:2]}))
        assert groups(db, "model, input_cache_write_1h_tokens") == [
            ("haiku", 8),
            ("opus", 5),
            ("sonnet", 13),
            ("x", None),
        ]
        assert is_sound(db)

    def test_several_of_one_group(self, db: sqlite3.Connection) -> None:
        for n in (1, 2, 3):
            tried(db, "a", n, model="g", status=200, input_tokens=n)
        put(db, "a", attempts=3, model="g", status=200, usage_state="final", input_tokens=6)
        assert groups(db, "calls, uses, input_tokens") == [(1, 3, 6)]
        put(db, "a", attempts=3, model="g", status=500, usage_state="final", input_tokens=6)
        assert groups(db, "status, calls, uses, input_tokens") == [(500, 1, 3, 6)]
        assert is_sound(db)

    def test_cost_grows_with_their_number(self, db: sqlite3.Connection) -> None:
        """Steps of SQLite for ten times as many are ten times as many."""
        steps = dict.fromkeys((30, 300), 0)
        for number in steps:

            def count(number: int = number) -> int:
                steps[number] += 1
                return 0

            for n in range(number):
                tried(db, f"of {number}", n + 1, model="g", status=429)
            db.set_progress_handler(count, 100)
            put(db, f"of {number}", attempts=number, model="g", status=429, usage_state="not_applicable")
            db.set_progress_handler(None, 100)
        assert 0 < steps[300] < 15 * steps[30]
        assert is_sound(db)

    def test_none_while_it_is_open(self, db: sqlite3.Connection) -> None:
        tried(db, "a", 1, model="g")
        put(db, "a", state="open")
        assert groups(db, "calls") == []


def test_sums_of_pruned_rows_stay_when_another_row_leaves_their_group(db: sqlite3.Connection) -> None:
    put(db, "a", model="g", usage_state="final", input_tokens=5, images=0)
    put(db, "b", model="g", usage_state="final", input_tokens=7, images=0)
    db.execute("DELETE FROM calls WHERE id = 'a'")
    db.execute("INSERT INTO meta VALUES ('pruned_before', '1')")
    put(db, "b", model="h", usage_state="final", input_tokens=7, images=0)
    assert groups(db, "model, calls, input_tokens, images") == [("g", 1, 5, 0), ("h", 1, 7, 0)]


def test_unknown_is_left_when_what_was_known_leaves(db: sqlite3.Connection) -> None:
    """A sum of 0 may be that of calls of which nothing is known."""
    known = {"usage_state": "final", "input_tokens": 5}
    put(db, "a", model="g", **known, input_cached_tokens=0)
    put(db, "b", model="g", **known)
    assert groups(db, "model, calls, input_cached_tokens") == [("g", 2, 0)]
    put(db, "a", model="h", **known, input_cached_tokens=0)
    assert groups(db, "model, calls, input_cached_tokens") == [("g", 1, None), ("h", 1, 0)]


@pytest.mark.parametrize("name", ["usage_raw", "input_by_modality"])
def test_what_else_a_sum_comes_from_may_change(db: sqlite3.Connection, name: str) -> None:
    told = {
        "model": "g",
        "usage_state": "final",
        "input_cache_write_tokens": 5,
        "input_by_modality": '{"text": 0}',
        "usage_raw": '{"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 0}}',
    }
    put(db, "a", **told)
    put(db, "a", **told | {name: None})
    assert is_sound(db)


class TestPriceClass:
    @pytest.mark.parametrize(
        ("traffic_type", "tier"),
        [
            (None, "standard"),
            ("ON_DEMAND", "standard"),
            ("default", "standard"),
            ("auto", "standard"),
            ("unspecified", "standard"),
            ("TRAFFIC_TYPE_UNSPECIFIED", "standard"),
            ("ON_DEMAND_PRIORITY", "priority"),
            ("ON_DEMAND_FLEX", "flex"),
            ("SERVICE_TIER_FLEX", "flex"),
            ("SERVICE_TIER_STANDARD", "standard"),
            ("SERVICE_TIER_UNSPECIFIED", "standard"),
            ("SERVICE_TIER_PRIORITY", "priority"),
            ("SERVICE_TIER_DEFERRED", "deferred"),
            ("ON_DEMAND_OFFPEAK", "offpeak"),
            ("PROVISIONED_THROUGHPUT", "provisioned"),
            ("batch", "batch"),
            ("SOMETHING_NEW", "something_new"),
        ],
    )
    def test_tier(self, db: sqlite3.Connection, traffic_type: str | None, tier: str) -> None:
        put(db, "a", traffic_type=traffic_type)
        assert groups(db, "tier") == db.execute("SELECT tier FROM uses").fetchall() == [(tier,)]

    @pytest.mark.parametrize(
        ("location", "region"),
        [
            (None, ""),
            ("global", "global"),
            ("us", "multi-regional"),
            ("eu", "multi-regional"),
            ("us-central1", "regional"),
        ],
    )
    def test_region(self, db: sqlite3.Connection, location: str | None, region: str) -> None:
        put(db, "a", location=location)
        assert groups(db, "region") == [(region,)]

    @pytest.mark.parametrize(
        ("tokens", "context"),
        [
            (None, 0),
            (32_000, 0),
            (32_001, 32_000),
            (100_001, 100_000),
            (200_000, 128_000),
            (200_001, 200_000),
            (256_001, 256_000),
            (272_001, 272_000),
            (10**9, 512_000),
        ],
    )
    def test_context(self, db: sqlite3.Connection, tokens: int | None, context: int) -> None:
        put(db, "a", input_tokens=tokens)
        assert groups(db, "context") == [(context,)]

    @pytest.mark.parametrize(
        ("columns", "known"),
        [
            ({}, ""),
            ({"input_tokens": 0, "output_tokens": 0}, "input output"),
            ({"input_tokens": 1}, "input"),
            ({"images": 1}, "images"),
            ({"output_tokens": 1, "images": 1, "video_seconds": 8}, "output images video_seconds"),
            ({"input_tokens": 1, "output_tokens": 1, "images": 2}, "input output images"),
        ],
    )
    def test_known(self, db: sqlite3.Connection, columns: dict[str, object], known: str) -> None:
        put(db, "a", **columns)
        assert groups(db, "known") == [(known,)]

    def test_what_else_keeps_calls_apart(self, db: sqlite3.Connection) -> None:
        for number, apart in enumerate(({}, {"variant": "2k"}, {"tags": '{"x":"y"}'}, {"usage_state": "final"})):
            put(db, str(number), **apart)
            put(db, f"{number} again", **apart)
        assert groups(db, "calls") == [(2,)] * 4


class TestKinds:
    def test_modalities(self, db: sqlite3.Connection) -> None:
        put(db, "a", input_by_modality='{"text":5,"image":258,"audio":7}', output_by_modality='{"image":1290}')
        put(db, "b", input_by_modality='{"text":1,"video":9,"document":3}', output_by_modality='{"text":2,"audio":4}')
        put(db, "c")
        kinds = [name for name in rollup.AMOUNTS if name.endswith(tuple(f"{kind}_tokens" for kind in KINDS))]
        (row,) = groups(db, ", ".join(kinds))
        assert dict(zip(kinds, row, strict=True)) == {
            "input_text_tokens": 6,
            "input_image_tokens": 258,
            "input_audio_tokens": 7,
            "input_video_tokens": 9,
            "input_document_tokens": 3,
            "output_text_tokens": 2,
            "output_image_tokens": 1290,
            "output_audio_tokens": 4,
            "output_video_tokens": None,
            "input_cached_audio_tokens": None,
        }

    def test_what_is_no_count_breaks_nothing(self, db: sqlite3.Connection) -> None:
        for number, value in enumerate(("1e300", "9" * 25, '"x"', "{}", "[1]", "null", "-7", "1.5", "true")):
            for id in (f"{number}", f"{number} again"):
                put(db, id, input_by_modality=f'{{"text":{value}}}')
        assert is_sound(db)

    @pytest.mark.parametrize(
        ("raw", "hour"),
        [
            ({"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 3}}, 3),
            ({"cache_creation_input_tokens": 5}, None),
            # Of one of several answers.
            ({"cache_creation_input_tokens": 4, "cache_creation": {"ephemeral_1h_input_tokens": 3}}, None),
            (None, None),
        ],
    )
    def test_cache_that_is_kept_for_an_hour(self, db: sqlite3.Connection, raw: object, hour: int | None) -> None:
        put(db, "a", input_cache_write_tokens=5, usage_raw=raw and json.dumps(raw))
        assert groups(db, "input_cache_write_1h_tokens") == [(hour,)]

    @pytest.mark.parametrize(
        ("details", "audio"),
        [
            ([{"modality": "TEXT", "tokenCount": 3}, {"modality": "AUDIO", "tokenCount": 2}], 2),
            ([{"modality": "AUDIO", "tokenCount": 2}], None),
            ([{"modality": "TEXT", "tokenCount": 5}], None),
            (["AUDIO", 5, None], None),
            ("AUDIO", None),
        ],
    )
    def test_audio_in_the_cache(self, db: sqlite3.Connection, details: object, audio: int | None) -> None:
        put(db, "a", input_cached_tokens=5, usage_raw=json.dumps({"cacheTokensDetails": details}))
        assert groups(db, "input_cached_audio_tokens") == [(audio,)]

    def test_calls_that_searched(self, db: sqlite3.Connection) -> None:
        for number, queries in enumerate((None, 0, 1, 5)):
            put(db, str(number), search_queries=queries)
        assert groups(db, "calls, search_uses, search_queries") == [(4, 2, 6)]


_attempts = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["attempt", "iteration"]),
            "model": st.sampled_from([None, "g", "h"]),
            "status": st.sampled_from([None, 200, 500]),
            "input_tokens": st.sampled_from([None, 0, 3]),
        }
    ),
    max_size=3,
)
_steps = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from("abc"),
            "state": st.sampled_from(["open", "done", "client_closed"]),
            "model": st.sampled_from([None, "g", "h"]),
            "status": st.sampled_from([None, 200, 500]),
            "usage_state": st.sampled_from([None, "final", "absent"]),
            "input_tokens": st.sampled_from([None, 0, 3]),
            "input_cached_tokens": st.sampled_from([None, 0, 1]),
            "duration_us": st.sampled_from([None, 0, 1234]),
            "started_at": st.sampled_from([0, 1, rollup.BUCKET_US]),
        }
    ),
    max_size=12,
)


@given(steps=_steps, attempts=_attempts)
def test_the_rollup_is_the_sum_of_the_rows(steps: list[dict[str, object]], attempts: list[dict[str, object]]) -> None:
    known: dict[object, object] = {}
    with empty() as db:
        for n, attempt in enumerate(attempts, 1):
            tried(db, "a", n, **attempt)
        for step in steps:
            # As the ledger has it: a row does not open again, a count does not become unknown, time stays.
            row = known.setdefault(step["id"], {"started_at": step["started_at"]})
            assert isinstance(row, dict)
            if row.get("state") not in (None, "open") and step["state"] == "open":
                continue
            tokens = row.get("input_tokens") if step["input_tokens"] is None else step["input_tokens"]
            cached = (
                row.get("input_cached_tokens") if step["input_cached_tokens"] is None else step["input_cached_tokens"]
            )
            counts = {"input_tokens": tokens, "input_cached_tokens": cached}
            row.update(step | counts | {"started_at": row["started_at"]})
            put(db, **row)
        assert is_sound(db)
