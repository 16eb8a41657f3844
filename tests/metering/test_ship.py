"""Against a real PostgreSQL server."""

import random
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from contextlib import closing
from pathlib import Path

import pytest

from metering import ship
from metering.database import LedgerError
from metering.database import connect
from metering.postgresql import open_for_reading
from metering.ship import Shipping
from metering.upkeep import prune
from tests.ledgers import of_version
from tests.ledgers import processes
from tests.postgresql_server import Server
from tests.process import until
from tests.shipped import DAY_US
from tests.shipped import HOSTILE
from tests.shipped import add
from tests.shipped import call
from tests.shipped import calls
from tests.shipped import content_of
from tests.shipped import new
from tests.shipped import rows

START = 1_795_996_800_000_000
"""2026-11-30: a day later it is another month."""


def shipped(address: str, *paths: Path) -> list[int]:
    with closing(Shipping(address)) as shipping:
        return [shipping.ship(path) for path in paths]


@pytest.fixture
def address(postgresql: Server) -> str:
    return postgresql.new()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ships a few rows at a time."""
    monkeypatch.setattr(ship, "AT_ONCE", 7)


@pytest.mark.usefixtures("few")
def test_all_that_reports_read_is_there(tmp_path: Path, address: str) -> None:
    chance = random.Random(1)
    paths = [new(tmp_path / f"{number}.db") for number in range(2)]
    for path in paths:
        add(path, calls(chance, 120, START, 2 * DAY_US))
    assert shipped(address, *paths) == [120, 120]
    assert content_of(address) == content_of(*paths)
    assert HOSTILE in {row[1] for row in content_of(address)["uses"]}
    assert shipped(address, *paths) == [0, 0]


def test_rows_that_change_later(tmp_path: Path, address: str) -> None:
    chance, path = random.Random(2), new(tmp_path / "usage.db")
    first = [*calls(chance, 40, START)]
    add(path, first)
    shipped(address, path)
    for one in first[::3]:
        ended = call(chance, one.started_at, id=one.id, state="done", ended_at=START, usage_state="final")
        add(path, [ended])
    with closing(connect(path, 30)) as db:
        db.execute("UPDATE calls SET video_seconds = 8, usage_state = 'final' WHERE state = 'done' AND images = 2")
    assert 14 <= shipped(address, path)[0] < 40
    assert content_of(address) == content_of(path)


def test_what_was_pruned_stays(tmp_path: Path, address: str) -> None:
    chance, path = random.Random(3), new(tmp_path / "usage.db")
    add(path, calls(chance, 30, START, state="done"))
    shipped(address, path)
    before = content_of(path)
    assert prune(path, START + DAY_US // 2)
    # Nothing has changed; nor is all shipped again if the last row is gone too.
    assert shipped(address, path) == [0]
    assert prune(path, START + 2 * DAY_US)
    add(path, [later := call(chance, START + 3 * DAY_US, state="done")])
    assert shipped(address, path) == [1]
    after = content_of(address)
    assert [row[0] for row in after["calls"]] == sorted([*(row[0] for row in before["calls"]), later.id])
    assert after["rollup"] == content_of(path)["rollup"]


def test_sums_of_calls_that_were_pruned_before(tmp_path: Path, address: str) -> None:
    chance, path = random.Random(4), new(tmp_path / "usage.db")
    add(path, calls(chance, 30, START, state="done"))
    assert prune(path, START + DAY_US // 2)
    shipped(address, path)
    assert content_of(address) == content_of(path)


def test_a_ledger_that_was_begun_anew(tmp_path: Path, address: str) -> None:
    chance, path = random.Random(5), new(tmp_path / "usage.db")
    add(path, calls(chance, 20, START))
    shipped(address, path)
    path.rename(tmp_path / "old.db")
    add(new(path), calls(chance, 10, START))
    assert shipped(address, path) == [10]
    assert content_of(address) == content_of(path, tmp_path / "old.db")


def test_a_backup_in_place_of_a_ledger(tmp_path: Path, address: str) -> None:
    """It has fewer rows, and later others, with numbers that were shipped already."""
    chance, path = random.Random(6), new(tmp_path / "usage.db")
    add(path, calls(chance, 20, START))
    kept = path.read_bytes()
    add(path, calls(chance, 10, START + DAY_US, state="done"))
    shipped(address, path)
    before = content_of(path)
    path.write_bytes(kept)
    add(path, calls(chance, 15, START + 2 * DAY_US, state="done"))
    assert shipped(address, path) == [35]
    assert {*content_of(address)["calls"]} == {*content_of(path)["calls"], *before["calls"]}
    assert shipped(address, path) == [0]


def test_a_call_of_two_ledgers(tmp_path: Path, address: str) -> None:
    """A proxy whose ledger was moved away writes the rows of calls under way to the new one, too."""
    chance, paths = random.Random(7), [new(tmp_path / f"{number}.db") for number in range(2)]
    open_call = call(chance, START, state="open", ended_at=None, usage_state=None, tries=[])
    ended = call(chance, START, id=open_call.id, state="done", usage_state="final", ended_at=START, tries=[])
    add(paths[0], [*calls(chance, 5, START), open_call])
    add(paths[1], [ended])
    for order in (paths, paths[::-1]):
        shipped(address, *order)
        found = content_of(address)["calls"]
        assert [row for row in found if row[0] == ended.id] == content_of(paths[1])["calls"]
        with closing(connect(paths[0], 30)) as db:
            db.execute("UPDATE calls SET state = state WHERE id = ?", (open_call.id,))


def test_times_that_no_clock_tells(tmp_path: Path, address: str) -> None:
    chance, path = random.Random(8), new(tmp_path / "usage.db")
    add(path, [call(chance, started, state="done") for started in (-(10**17), -1, 0, START, 2**61)])
    assert shipped(address, path) == [5]
    assert content_of(address)["calls"] == content_of(path)["calls"]


def test_values_that_postgresql_cannot_hold(tmp_path: Path, address: str) -> None:
    """Somebody else has written them: they do not keep the other rows. What looks like one stays as it is."""
    chance, path = random.Random(14), new(tmp_path / "usage.db")
    texts = {"nul": "a\0b", "looks like it": "a\\u0000b", "well": "b"}
    add(path, [call(chance, START, state="done", id=id, tries=[]) for id in texts])
    with closing(connect(path, 30)) as db:
        for id, text in texts.items():
            db.execute("UPDATE calls SET client = ?, reserved_usd = 9e999 WHERE id = ?", (text, id))
    assert shipped(address, path) == [3]
    with closing(open_for_reading(address)) as opened:
        found = {id: row for id, *row in opened.execute("SELECT id, client, reserved_usd FROM calls")}
    infinite = float("inf")
    assert found == {"nul": ["a\ufffdb", infinite], "looks like it": ["a\\u0000b", infinite], "well": ["b", infinite]}


def test_older_ledgers(tmp_path: Path, address: str) -> None:
    of_version(tmp_path / "usage.db", 4, [{}])
    with pytest.raises(LedgerError, match="start a proxy with it once"):
        shipped(address, tmp_path / "usage.db")
    of_version(tmp_path / "5.db", 5, [{}])
    assert shipped(address, tmp_path / "5.db") == [1]


def test_after_an_upgrade_all_sums_are_shipped_again(tmp_path: Path, address: str, postgresql: Server) -> None:
    path = new(tmp_path / "usage.db")
    add(path, calls(random.Random(9), 12, START, state="done"))
    shipped(address, path)
    with postgresql.connect(address) as db:
        db.execute("UPDATE shipped SET version = version - 1")
        db.execute("UPDATE rollup SET calls = 99")
    add(path, calls(random.Random(9), 1, START + DAY_US, state="done"))
    assert shipped(address, path) == [1]
    assert content_of(address) == content_of(path)


def test_two_ship_the_same_ledger(tmp_path: Path, address: str, postgresql: Server) -> None:
    path = new(tmp_path / "usage.db")
    add(path, calls(random.Random(12), 20, START))
    shipped(address, path)
    add(path, calls(random.Random(13), 20, START, DAY_US))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%shipped%%'"
    done: list[list[int]] = []
    threads = [threading.Thread(target=lambda: done.append(shipped(address, path))) for _ in range(2)]
    with postgresql.connect(address) as db, postgresql.connect(address) as other:
        with db.transaction():
            db.execute("SELECT 1 FROM shipped FOR UPDATE")
            for thread in threads:
                thread.start()
            until(lambda: other.execute(waiting).fetchone() == (2,), 60)
        for thread in threads:
            thread.join()
    assert sorted(done) == [[0], [20]]
    assert content_of(address) == content_of(path)


# Killed at random

PATHS = 3
KILLS = 10


DYING = """
import signal
left = {steps}
def count(frame, event, argument):
    global left
    left -= event == "c_call"
    if not left:
        signal.raise_signal(signal.SIGKILL)
metering.ship.AT_ONCE = {at_once}
sys.setprofile(count)
shipping = metering.ship.Shipping({address!r})
for path in {paths}:
    shipping.ship(path)
sys.setprofile(None)
shipping.close()
"""
"""Ships ledgers, and is killed after some steps: calls of functions that are written in C."""
AT_ONCE = 30


def steps_of(work: Callable[[], object]) -> int:
    steps = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "c_call"

    sys.setprofile(count)
    work()
    sys.setprofile(None)
    return steps


def test_killed_at_random(tmp_path: Path, address: str, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes at a time ship three ledgers, each in another order, while rows are added, end and change. Ten
    are killed, the others end."""
    monkeypatch.setattr(ship, "AT_ONCE", AT_ONCE)
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    paths = [new(tmp_path / f"{number}.db") for number in range(PATHS)]
    statuses: list[str] = []
    start, steps = START, 0
    while statuses.count("ended -9\n") < KILLS:
        for path in paths:
            add(path, calls(chance, 80, start, DAY_US // 4))
            ended = rows(path, "SELECT id, started_at FROM calls WHERE state = 'open' ORDER BY id LIMIT 9")
            add(path, [call(chance, at, id=id, state="done", usage_state="final", ended_at=1) for id, at in ended])
        start += DAY_US // 4
        # How far one gets that ships one ledger alone.
        steps = steps or steps_of(lambda: shipped(address, paths[0]))
        with ExitStack() as stack:
            running = []
            for at in range(PATHS):
                order = [*map(str, paths[at:] + paths[:at])]
                lives = chance.randrange(1, steps)
                dying = DYING.format(steps=lives, at_once=AT_ONCE, address=address, paths=order)
                running.append(stack.enter_context(processes(dying, tmp_path, imports="import metering.ship, psycopg")))
            statuses += [program.stdout.read() for program in running]
        with postgresql.connect(address) as db:
            # The place moves on together with the rows.
            ahead = "SELECT count(*) FROM calls JOIN shipped USING (ledger) WHERE calls.changed > shipped.changed"
            assert db.execute(ahead).fetchone() == (0,)
    assert {*statuses} <= {"ended -9\n", "ended 0\n"}
    shipped(address, *paths)
    assert content_of(address) == content_of(*paths)
    assert shipped(address, *paths) == [0] * PATHS


def test_a_server_that_goes_away(tmp_path: Path, address: str, postgresql: Server) -> None:
    path = new(tmp_path / "usage.db")
    add(path, calls(random.Random(10), 30, START))
    with closing(Shipping(address)) as shipping:
        with postgresql.connect() as db:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vertex-tap'")
        with pytest.raises(LedgerError, match=r"PostgreSQL cannot be used: .*terminat"):
            shipping.ship(path)
    assert shipped(address, path) == [30]


def test_the_ledger_is_only_read(tmp_path: Path, address: str) -> None:
    path = new(tmp_path / "usage.db")
    add(path, calls(random.Random(11), 5, START))
    before = path.read_bytes()
    shipped(address, path)
    assert path.read_bytes() == before
