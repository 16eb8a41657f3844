"""What tests are too short for, and what is judged as ratios: python -m tests.bench [kill|lock|overhead|chats|picture]

kill: 2,000 calls, streamed and not, 16 at a time, `kill -9` at a random moment, ten times over.
lock: the same calls while another process holds the write lock for 3 seconds now and then.
overhead: CPU time and calls a second, against mitmdump without addons, in rotation.
chats: 100,000 generated chat requests, each refused or within Google's schema.
picture: converting a chat with an inline image of 20 MB, against what reading its JSON costs.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any
from typing import NamedTuple

from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation import gemini
from addons.translation import openai_chat
from addons.translation.conversation import InvalidRequest
from tests.addons.translation import chats as generated
from tests.crash import Load
from tests.crash import check
from tests.crash import locked_now_and_then
from tests.crash import random_moment
from tests.http import HELLO
from tests.http import MODEL
from tests.http import connection
from tests.http import request
from tests.process import BIN
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

CALLS = 2_000
KILLS = 10
CHATS = 100_000
PICTURE = 20 * 1024 * 1024
LOCKED_S = 3.0
ROUNDS = 5
ROUND_CALLS = 400
EVENTS, PAUSE_S = 200, 0.05


def arrived(simulator: Simulator, name: str) -> set[str]:
    calls = (seen.request.headers.get("x-call", "") for seen in list(simulator.seen))
    return {call for call in calls if call.startswith(f"{name}-")}


def kill(folder: Path, simulator: Simulator) -> None:
    ended: set[str] = set()
    came: set[str] = set()
    for run in range(KILLS):
        with start(folder, simulator) as proxy:
            load = Load(proxy.url, CALLS, name=f"kill{run}")
            thread = threading.Thread(target=load.run)
            thread.start()
            until(lambda load=load: load.ended)
            time.sleep(random_moment(5.0))
            proxy.kill()
            thread.join()
        ended |= load.ended
        came |= arrived(simulator, load.name)
    with start(folder, simulator) as proxy:
        rows = proxy.rows()
    check(rows, ended, came)
    lost = sum(row["state"] == "lost" for row in rows)
    print(f"kill: {KILLS} kills, {len(came)} calls, {len(ended)} seen to end, {len(rows)} rows, {lost} lost: sound")


def lock(folder: Path, simulator: Simulator) -> None:
    with start(folder, simulator) as proxy:
        free = longest_wait(proxy)
        load = Load(proxy.url, CALLS, name="lock")
        thread = threading.Thread(target=load.run)
        with locked_now_and_then(proxy.ledger, seconds=LOCKED_S, pause=0.5):
            thread.start()
            locked = longest_wait(proxy)
            thread.join()
        until(lambda: not list(folder.glob("usage.db.spill-*")))
        rows = [row for row in proxy.rows() if "lock-" in str(row["tags"])]
    assert len(load.ended) == CALLS
    check(rows, load.ended, arrived(simulator, "lock"))
    print(
        f"lock: {CALLS} calls, {len(rows)} rows, all final: sound; slowest call {load.slowest * 1000:.0f} ms;"
        f" an event every {PAUSE_S * 1000:.0f} ms came at most {locked * 1000:.0f} ms late (idle: {free * 1000:.0f} ms)"
    )


def longest_wait(proxy: Proxy) -> float:
    """How late an event of a quiet stream came at most, in seconds."""
    with connection(proxy.url) as client:
        plan = {"events": EVENTS, "words": EVENTS, "pause": PAUSE_S}
        request(client, f"{MODEL}:streamGenerateContent?alt=sse", HELLO, headers={"x-call": "quiet-1"}, plan=plan)
        answer, last, longest = client.getresponse(), time.monotonic(), 0.0
        while answer.read1(65536):
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest - PAUSE_S


class Contestant(NamedTuple):
    name: str
    pid: int
    url: str


def overhead(folder: Path, simulator: Simulator) -> None:
    with ExitStack() as stack:
        contestants = [bare(stack, folder, simulator)]
        for name, serve in (("mitmdump -s addons/gateway.py", False), ("vertex-tap serve", True)):
            place = folder / name.split(" ")[0]
            place.mkdir()
            proxy = stack.enter_context(start(place, simulator, serve=serve))
            contestants.append(Contestant(name, proxy.process.pid, proxy.url))
        paths = {"unary": f"{MODEL}:generateContent", "streamed": f"{MODEL}:streamGenerateContent?alt=sse"}
        for kind, path in paths.items():
            cpu: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
            for number in range(ROUNDS):
                for contestant in contestants[number % 3 :] + contestants[: number % 3]:
                    cpu[contestant.name].append(cpu_of(contestant, path))
            for name, used in cpu.items():
                ratio = median(ours / theirs for ours, theirs in zip(used, cpu["mitmdump"], strict=True))
                print(f"overhead: {kind}: {name}: {median(used) * 1000:.2f} ms of CPU a call, {ratio:.2f} x mitmdump")


def cpu_of(contestant: Contestant, path: str) -> float:
    before = cpu_seconds(contestant.pid)
    load = Load(contestant.url, ROUND_CALLS, paths=(path,))
    load.run()
    assert len(load.ended) == ROUND_CALLS
    return (cpu_seconds(contestant.pid) - before) / ROUND_CALLS


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def start(folder: Path, simulator: Simulator, *, serve: bool = False) -> Proxy:
    mode = f"reverse:{simulator.url}"
    return Proxy("usage_tags=x-call", folder=folder, confdir=folder / "confdir", mode=mode, serve=serve)


def bare(stack: ExitStack, folder: Path, simulator: Simulator) -> Contestant:
    """mitmdump without addons of ours, quiet, streaming what is streamed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(BIN / "mitmdump"), "-q", "--mode", f"reverse:{simulator.url}", "--listen-host", "127.0.0.1"]
    options = ["-p", str(port), "--set", f"confdir={folder / 'confdir'}", "--set", "stream_large_bodies=1"]
    process = subprocess.Popen([*command, *options])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(url), 30)
    return Contestant("mitmdump", process.pid, url)


def answers(url: str) -> bool:
    load = Load(url, 1)
    load.run()
    return bool(load.ended)


def chats(folder: Path, simulator: Simulator) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=CHATS, database=None, deadline=None, phases=[Phase.generate])
    @given(generated.chats | generated.half_valid())
    def convert(chat: dict[str, Any]) -> None:
        try:
            body = gemini.write_request(openai_chat.read_request(chat)).body
        except InvalidRequest:
            outcomes["refused"] += 1
            return
        generated.check(body)
        outcomes["converted"] += 1

    convert()
    print("chats:", dict(outcomes))


def picture(folder: Path, simulator: Simulator) -> None:
    url = f"data:image/png;base64,{'AAAA' * (PICTURE // 3)}"
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps({"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": content}]}).encode()

    def convert() -> None:
        to_json(gemini.write_request(openai_chat.read_request(from_json(body))).body)

    reading, converting = (min(timed(step) for _ in range(ROUNDS)) for step in (lambda: json.loads(body), convert))
    print(f"picture: converting costs {converting / reading:.1f} times what json.loads does ({reading * 1000:.0f} ms)")


def timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


BENCHES: dict[str, Callable[[Path, Simulator], None]] = {
    "kill": kill,
    "lock": lock,
    "overhead": overhead,
    "chats": chats,
    "picture": picture,
}


def main() -> None:
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
            BENCHES[name](Path(folder), simulator)


if __name__ == "__main__":
    main()
