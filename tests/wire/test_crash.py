"""Promise 2 under load: `kill -9` at a random moment, and a ledger that others lock."""

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from metering.companions import is_alive
from metering.database import open_for_reading
from metering.reports import verify
from tests.conftest import StartProxy
from tests.crash import CHAT
from tests.crash import PATHS
from tests.crash import Load
from tests.crash import check
from tests.crash import locked_now_and_then
from tests.crash import random_moment
from tests.process import until
from tests.vertex_simulator import Simulator

CALLS = 300


def arrived(simulator: Simulator, name: str) -> set[str]:
    calls = (seen.request.headers.get("x-call", "") for seen in list(simulator.seen))
    return {call for call in calls if call.startswith(name + "-")}


def broken_invariants(path: Path) -> list[str]:
    with closing(open_for_reading(path)) as db:
        return [name for name, times in verify(db, lambda instance: is_alive(path, instance)).items() if times]


@pytest.mark.parametrize("paths", [PATHS, (CHAT,)])
def test_killed_under_load(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, paths: tuple[str, ...]
) -> None:
    """Observed, and rewritten."""
    credentials = ("vertex_auth=service_account", f"vertex_credentials={key_file}")
    options = ("usage_tags=x-call", "openai_mode=convert", *credentials) if CHAT in paths else ("usage_tags=x-call",)
    ended: set[str] = set()
    came: set[str] = set()
    for run in range(3):
        proxy = start_proxy(*options, mode=f"reverse:{simulator.url}")
        load = Load(proxy.url, CALLS, name=f"kill{run}-{len(paths)}", paths=paths)
        thread = threading.Thread(target=load.run)
        thread.start()
        until(lambda load=load: len(load.ended) > 10)
        time.sleep(random_moment(0.5))
        proxy.kill()
        thread.join()
        ended |= load.ended
        came |= arrived(simulator, load.name)
    proxy = start_proxy(*options, mode=f"reverse:{simulator.url}")
    assert ended
    check(proxy.rows(), ended, came)
    assert broken_invariants(proxy.ledger) == []


def test_locked_by_others(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    load = Load(proxy.url, CALLS, name="lock")
    with locked_now_and_then(proxy.ledger, seconds=0.5, pause=0.2):
        load.run()
    until(lambda: not list(proxy.folder.glob("usage.db.spill-*")))
    assert len(load.ended) == CALLS
    check(proxy.rows(), load.ended, arrived(simulator, "lock"))
    assert broken_invariants(proxy.ledger) == []


def test_killed_while_locked(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    load = Load(proxy.url, CALLS, name="both")
    thread = threading.Thread(target=load.run)
    with locked_now_and_then(proxy.ledger, seconds=30, pause=0.05):
        thread.start()
        until(lambda: len(load.ended) > 40)
        spills = list(proxy.folder.glob("usage.db.spill-*"))
        proxy.kill()
        thread.join()
    assert spills
    proxy = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    check(proxy.rows(), load.ended, arrived(simulator, "both"))
    assert broken_invariants(proxy.ledger) == []


def test_two_proxies_on_one_ledger(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    one = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    two = start_proxy(
        "usage_tags=x-call", f"usage_db={one.ledger}", mode=f"reverse:{simulator.url}", folder=other_folder
    )
    loads = [Load(one.url, CALLS, name="one", at_once=4), Load(two.url, CALLS, name="two", at_once=4)]
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: not list(one.folder.glob("usage.db.spill-*")))
    for load in loads:
        assert len(load.ended) == CALLS
        rows = [row for row in one.rows() if json.loads(row["tags"])["x-call"].startswith(load.name)]
        check(rows, load.ended, arrived(simulator, load.name))
    # The end of one does not touch the rows of the other.
    one.kill()
    assert two.stop() == 0
    assert {row["state"] for row in one.rows()} == {"done"}
    assert broken_invariants(one.ledger) == []
