"""Promise 2 under load: `kill -9` at a random moment, and a ledger that others lock."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metering.call import uuid7
from metering.companions import spill_path
from metering.ledger import Ledger
from metering.record import encode
from metering.record import record_of
from tests.conftest import StartProxy
from tests.crash import CHAT
from tests.crash import PATHS
from tests.crash import Load
from tests.crash import check
from tests.crash import locked_now_and_then
from tests.crash import random_moment
from tests.http import HELLO
from tests.http import connection
from tests.http import send
from tests.ledgers import Disk
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import rejected
from tests.ledgers import spills
from tests.process import BIN
from tests.process import Row
from tests.process import rows_of
from tests.process import until
from tests.vertex_simulator import Simulator

CALLS = 300


def arrived(simulator: Simulator, name: str) -> set[str]:
    calls = (seen.request.headers.get("x-call", "") for seen in list(simulator.seen))
    return {call for call in calls if call.startswith(name + "-")}


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


def delete(ledger: Path) -> None:
    ledger.unlink()


def delete_all(ledger: Path) -> None:
    for file in ledger.parent.glob("usage.db*"):
        file.unlink()


def move(ledger: Path) -> None:
    ledger.rename(ledger.parent / "old.db")


def replace(ledger: Path) -> None:
    another = Ledger(ledger.parent / "another.db")
    another.close()
    another.path.rename(ledger)


@pytest.mark.parametrize("happens", [delete, delete_all, move, replace])
def test_the_ledger_is_gone(start_proxy: StartProxy, simulator: Simulator, happens: Callable[[Path], None]) -> None:
    proxy = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    load = Load(proxy.url, CALLS, name=f"gone-{happens.__name__}", at_once=8)
    thread = threading.Thread(target=load.run)
    thread.start()
    until(lambda: len(load.ended) > 100)
    happens(proxy.ledger)
    # Rows of these may have been in the file that is gone.
    begun = {seen.request.headers.get("x-call", "") for seen in list(simulator.seen)}
    until(lambda: "while in use" in proxy.output)
    thread.join()
    assert len(load.ended) == CALLS
    until(lambda: not spills(proxy.ledger))
    proxy.stop()
    rows = proxy.rows()
    if happens is move:
        # Together they are whole.
        old = proxy.ledger.parent / "old.db"
        assert broken_invariants(old) == []
        check(rows_of(old) + rows, load.ended, arrived(simulator, load.name))
    check(rows, named(rows), arrived(simulator, load.name) - begun)
    assert broken_invariants(proxy.ledger) == []
    assert proxy.output.count("while in use") == 1
    assert "Traceback" not in proxy.output


def named(rows: list[Row]) -> set[str]:
    return {json.loads(row["tags"])["x-call"] for row in rows}


def test_a_full_disk(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    try:
        disk = Disk(tmp_path / "disk", megabytes=16)
    except PermissionError as e:
        pytest.skip(f"{e}; tests/metering/test_spill.py has a limit instead")
    try:
        ledger = disk.folder / "usage.db"
        proxy = start_proxy("usage_tags=x-call", f"usage_db={ledger}", mode=f"reverse:{simulator.url}")
        load = Load(proxy.url, CALLS, name="full", at_once=8)
        thread = threading.Thread(target=load.run)
        thread.start()
        until(lambda: len(load.ended) > 50)
        with disk.full():
            until(lambda: len(load.ended) > 200)
            until(lambda: "rows wait in memory" in proxy.output)
        thread.join()
        until(lambda: "can be written again" in proxy.output)
        until(lambda: not spills(ledger))
        # What was written after the disk had room again survives this.
        proxy.kill()
        Ledger(ledger).close()
        assert len(load.ended) == CALLS
        check(rows_of(ledger), load.ended, arrived(simulator, "full"))
        assert broken_invariants(ledger) == []
        assert rejected(ledger) == []
        assert "lost" not in proxy.output
        assert proxy.output.count("rows wait") <= 4
    finally:
        disk.remove()


def test_a_spill_that_is_damaged(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    """The proxy starts, and says what it has found."""
    path, instance = tmp_path / "usage.db", uuid7()
    good = encode(3, record_of(done(call(id="good", instance=instance, tags={"x-call": "good"}))))
    spill_path(path, instance).write_bytes(b'\xff\x00\n{"n": 1}\n[' + good + b'{"n": 4, "row": {"id"')
    proxy = start_proxy("usage_tags=x-call", mode=f"reverse:{simulator.url}")
    assert "rows set aside in" in proxy.output
    assert "Traceback" not in proxy.output
    assert [row["id"] for row in proxy.rows()] == ["good"]
    assert spills(path) == []
    verified = subprocess.run([BIN / "vertex-tap", "verify", path], capture_output=True, text=True, check=True)
    assert "usage.db.rejected (3 rows): it is not JSON" in verified.stdout
    assert "usage.db.rejected (1 rows): it has no row" in verified.stdout


def test_a_path_that_is_no_text(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    with connection(proxy.url) as client:
        client._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
        client._validate_path = lambda url: None  # type: ignore[attr-defined]
        send(client, "/v1beta1/publishers/google/models/caf\xe9:generateContent", HELLO)
    row = proxy.new_row()
    assert row["path"] == "/v1beta1/publishers/google/models/caf\ufffd:generateContent"
    assert row["state"] in ("done", "upstream_failed")
    assert "metering failed" not in proxy.output
    proxy.stop()
    assert broken_invariants(proxy.ledger) == []
