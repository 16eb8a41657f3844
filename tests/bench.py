"""Benchmarks, and checks that take too long for the tests. Costs are compared, as ratios depend less on the machine.

python -m tests.bench [kill|lock|overhead|events|fallback|chats|picture|pictures] [--against REVISION]

`scripts/bench starve`, `report`, `facts`, `fleet` and `golden` are in the files of these names in tests/.

kill: 2,000 calls, streamed and not, 16 at a time; the proxy is killed (SIGKILL) at a random moment. Ten runs. The
    ledger must have a correct row for every call.
lock: the same calls, while another connection holds the ledger's write lock for 3 seconds at a time.
overhead: CPU time per call, compared with mitmdump without addons.
events: CPU time per event of a stream, passed on and converted, compared with another version of this project.
fallback: CPU time per call on a route with a `fallback` that is not needed, compared with the same route without.
chats: 100,000 generated requests of each client's dialect: chat, responses, messages, generateContent (`--dialect`: one
    of them). Each must be refused, or converted to valid requests for Gemini, Claude and OpenAI's dialect; what OpenAI
    would refuse is counted.
picture: the time to convert a chat with an inline image of 20 MB, compared with the time to parse its JSON.
pictures: edits of images of 20 MB, ten at a time: the memory that the proxy needs, and the delay of a stream beside.
"""

import argparse
import base64
import copy
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from typing import NamedTuple
from typing import Protocol

from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import from_json
from pydantic_core import to_json
from urllib3.filepost import encode_multipart_formdata

from addons.translation.anthropic.read_request import read_request as read_messages
from addons.translation.anthropic.write_request import write_request as write_for_claude
from addons.translation.conversation import Request
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.read_request import read_request as read_gemini
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_chat.read_request import read_request as read_chat
from addons.translation.openai_chat.write_request import write_request as write_chat_request
from addons.translation.openai_responses.read_request import read_request as read_response
from tests.addons.translation import chats as generated
from tests.addons.translation import messages
from tests.addons.translation.anthropic.bodies import MANUAL as CLAUDE
from tests.addons.translation.anthropic.bodies import check as check_message
from tests.addons.translation.gemini.examples import bodies
from tests.addons.translation.openai_responses import test_read_request as responses
from tests.crash import Load
from tests.crash import check
from tests.crash import locked_now_and_then
from tests.crash import random_moment
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.http import send
from tests.process import BIN
from tests.process import ROOT
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator.openai import KEY
from tests.vertex_simulator.openai_chat import check_chat
from tests.vertex_simulator.openai_errors import Refused
from tests.vertex_simulator.pictures import png
from tests.vertex_simulator.server import Simulator


class Service(NamedTuple):
    """A service for which chats are converted."""

    model: str | None
    """The model to ask for; None: the one that the chat names."""
    write: Callable[[Request], Written]
    check: Callable[[dict[str, Any]], None]
    """Raises an exception if the body is not valid for the service."""


SERVICES = {
    "Gemini": Service(None, write_for_gemini, generated.check),
    "Claude": Service(CLAUDE, write_for_claude, lambda body: check_message(body, CLAUDE)),
    "OpenAI's dialect": Service("gpt-4o", write_chat_request, lambda body: check_chat(from_json(to_json(body)))),
}


class Dialect(NamedTuple):
    """A client's dialect."""

    requests: st.SearchStrategy[dict[str, Any]]
    """What generates requests, valid ones and others."""
    read: Callable[[dict[str, Any]], Request]
    services: list[str]
    """For which they are converted; others get them as they are, or never."""


DIALECTS = {
    "chat": Dialect(generated.chats | generated.half_valid(), read_chat, [*SERVICES]),
    "responses": Dialect(responses.requests | responses.half_valid(), read_response, [*SERVICES]),
    "messages": Dialect(messages.requests | messages.half_valid(), read_messages, ["Gemini", "OpenAI's dialect"]),
    "generateContent": Dialect(
        bodies(), lambda body: read_gemini(body["model"], body, stream=False), ["OpenAI's dialect"]
    ),
}
CALLS = 2_000
KILLS = 10
CHATS, DRAWN = 100_000, 5_000
"""Generated requests of a dialect: all, and those that hypothesis draws. The others are crossed from these."""
PICTURE = 20 * 1024 * 1024
AT_ONCE = 10
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
        quiet = (f"{MODEL}:streamGenerateContent?alt=sse", HELLO, {"events": EVENTS, "words": EVENTS, "pause": PAUSE_S})
        free = longest_wait(proxy.url, *quiet)
        load = Load(proxy.url, CALLS, name="lock")
        thread = threading.Thread(target=load.run)
        with locked_now_and_then(proxy.ledger, seconds=LOCKED_S, pause=0.5):
            thread.start()
            locked = longest_wait(proxy.url, *quiet)
            thread.join()
        until(lambda: not list(folder.glob("usage.db.spill-*")))
        rows = [row for row in proxy.rows() if "lock-" in str(row["tags"])]
    assert len(load.ended) == CALLS
    check(rows, load.ended, arrived(simulator, "lock"))
    print(
        f"lock: {CALLS} calls, {len(rows)} rows, all final: sound; slowest call {load.slowest * 1000:.0f} ms;"
        f" an event every {PAUSE_S * 1000:.0f} ms came at most {locked * 1000:.0f} ms late (idle: {free * 1000:.0f} ms)"
    )


def longest_wait(url: str, path: str, body: object, plan: dict[str, Any]) -> float:
    """The longest delay of an event in a stream that has an event every PAUSE_S, in seconds."""
    with connection(url, timeout=120) as client:
        request(client, path, body, headers={"x-call": "quiet-1"}, plan=plan)
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


LONG = 2_000
"""The number of events in a stream whose costs are measured."""
CONVERTED: dict[str, Any] = {
    "model": "gemini-2.5-flash",
    "stream": True,
    "messages": [{"role": "user", "content": "Hello, who are you?"}],
}
STREAMS: dict[str, tuple[str, Any, dict[str, str]]] = {
    "observed": (f"{MODEL}:streamGenerateContent?alt=sse", HELLO, {}),
    "converted": ("/v1/chat/completions", CONVERTED, {"x-goog-api-key": "", "authorization": f"Bearer {API_KEY}"}),
}
"""How the proxy treats a stream -> path, body and headers of the request for it."""


def events(folder: Path, simulator: Simulator, against: str) -> None:
    """Prints the CPU time per event of a long stream, in this version and in the revision `against`."""
    other = folder / "other"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", other, against], cwd=ROOT, check=True)
    try:
        with ExitStack() as stack:
            proxies = {}
            for name, checkout in {"here": ROOT, against: other}.items():
                place = folder / ("here" if checkout is ROOT else "there")
                place.mkdir()
                mode = f"reverse:{simulator.url}"
                proxies[name] = stack.enter_context(
                    Proxy(
                        "openai_mode=convert", folder=place, confdir=place, mode=mode, checkout=checkout, forked=False
                    )
                )
            for kind, (path, body, headers) in STREAMS.items():
                cpu: dict[str, list[float]] = {name: [] for name in proxies}
                for _ in range(6 * ROUNDS):
                    for name, proxy in proxies.items():
                        before = cpu_seconds(proxy.process.pid)
                        answer = call(proxy.url, path, body, headers=headers, plan={"events": LONG, "words": 6 * LONG})
                        assert answer.status == 200
                        assert answer.body.count(b"data:") >= LONG
                        cpu[name].append((cpu_seconds(proxy.process.pid) - before) / LONG)
                ratio = median(ours / theirs for ours, theirs in zip(cpu["here"], cpu[against], strict=True))
                us = {name: f"{median(used) * 1e6:.0f} µs" for name, used in cpu.items()}
                print(f"events: {kind}: {us['here']} of CPU an event, {us[against]} in {against}: {ratio:.2f} x")
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", other], cwd=ROOT, check=True)


FALLBACK = """
services:
  one: {{provider: vertex, auth: express, api_key_env: VERTEX_API_KEY, openai: convert}}
  two: {{provider: vertex, auth: express, api_key_env: VERTEX_API_KEY, openai: convert}}
routes: [{{service: one{}}}]
"""
ASKED: dict[str, tuple[str, Any]] = {
    "native": (f"{MODEL}:generateContent", HELLO),
    "native, streamed": (f"{MODEL}:streamGenerateContent?alt=sse", HELLO),
    "converted": ("/v1/chat/completions", CONVERTED | {"stream": False}),
    "converted, streamed": ("/v1/chat/completions", CONVERTED),
}


def fallback(folder: Path, simulator: Simulator) -> None:
    """Prints the CPU time per call of a route with and without a `fallback`. No call needs it."""
    with ExitStack() as stack:
        proxies = {}
        for name, more in {"without": "", "with": ", fallback: [two]"}.items():
            (place := folder / name).mkdir()
            (config := place / "gateway.yaml").write_text(FALLBACK.format(more))
            options = (f"gateway_config={config}", f"vertex_endpoint={simulator.url}")
            mode, env = f"reverse:{simulator.url}", {"VERTEX_API_KEY": API_KEY}
            proxies[name] = stack.enter_context(
                Proxy(*options, folder=place, confdir=place, mode=mode, serve=True, env=env, forked=False)
            )
        for kind, (path, body) in ASKED.items():
            cpu: dict[str, list[float]] = {name: [] for name in proxies}
            for number in range(3 * ROUNDS):
                for name in [*proxies][:: 1 if number % 2 else -1]:
                    before = cpu_seconds(proxies[name].process.pid)
                    with connection(proxies[name].url) as client:
                        for _ in range(ROUND_CALLS):
                            assert send(client, path, body, headers={"x-goog-api-key": ""}).status == 200
                    cpu[name].append((cpu_seconds(proxies[name].process.pid) - before) / ROUND_CALLS)
            ratio = median(ours / theirs for ours, theirs in zip(cpu["with"], cpu["without"], strict=True))
            ms = {name: f"{median(used) * 1000:.2f} ms" for name, used in cpu.items()}
            print(f"fallback: {kind}: {ms['with']} of CPU a call, {ms['without']} without: {ratio:.2f} x")


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


class Server(Protocol):
    url: str


def bare(stack: ExitStack, folder: Path, upstream: Server) -> Contestant:
    """Starts mitmdump without our addons. It logs nothing, and streams answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(BIN / "mitmdump"), "-q", "--mode", f"reverse:{upstream.url}", "--listen-host", "127.0.0.1"]
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


def chats(folder: Path, simulator: Simulator, dialects: list[str]) -> None:
    for dialect in dialects:
        convert_generated(dialect)


def convert_generated(dialect: str) -> None:
    requests, read, services = DIALECTS[dialect]
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in services}

    def convert(chat: dict[str, Any]) -> None:
        for name in services:
            service = SERVICES[name]
            try:
                model = service.model or chat.get("model")
                body = service.write(read(chat | {"model": model})).body
            except InvalidRequest:
                outcomes[name]["refused"] += 1
                continue
            try:
                service.check(body)
            except Refused as e:
                # Schemas and videos are passed on unchecked: not every service is as strict as OpenAI.
                outcomes[name][f"left to OpenAI to refuse: {(e.param or '').partition('[')[0]}"] += 1
            else:
                outcomes[name]["converted"] += 1

    drawn: list[dict[str, Any]] = []

    @settings(max_examples=DRAWN, database=None, deadline=None, phases=[Phase.generate])
    @given(requests)
    def draw(chat: dict[str, Any]) -> None:
        drawn.append(copy.deepcopy(chat))
        convert(chat)

    draw()
    chance = random.Random()
    for _ in range(CHATS - len(drawn)):
        one, other = chance.sample(drawn, 2)
        chat = crossed(one, other, chance)
        try:
            convert(copy.deepcopy(chat))
        except BaseException:
            print(f"chats: {dialect}: {chat}")
            raise
    for name, counted in outcomes.items():
        print(f"chats: {dialect}, to {name}:", dict(counted))


def crossed(one: dict[str, Any], other: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A request of members of two requests. Its lists, such as messages and tools, begin like one and end like the
    other. To draw a new request takes five times as long as to convert one."""
    chat: dict[str, Any] = {}
    for name in one | other:
        left, right = one.get(name), other.get(name)
        if isinstance(left, list) and isinstance(right, list):
            chat[name] = left[: chance.randint(0, len(left))] + right[chance.randint(0, len(right)) :]
        elif name in (holder := chance.choice([one, other])):
            chat[name] = holder[name]
    return chat


def picture(folder: Path, simulator: Simulator) -> None:
    url = f"data:image/png;base64,{'AAAA' * (PICTURE // 3)}"
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps({"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": content}]}).encode()

    def convert() -> None:
        to_json(write_for_gemini(read_chat(from_json(body))).body)

    reading, converting = (min(timed(step) for _ in range(ROUNDS)) for step in (lambda: json.loads(body), convert))
    print(f"picture: converting costs {converting / reading:.1f} times what json.loads does ({reading * 1000:.0f} ms)")


def pictures(folder: Path, simulator: Simulator) -> None:
    """Edits images with images/edits, which is converted, and with Gemini's own API, which is passed on. Prints the
    delay of a stream beside these calls, and the growth of memory."""
    key = folder / "key.json"
    key.write_text(json.dumps(simulator.credentials.service_account(simulator.token_uri)))
    image = png(2, 2) + bytes(PICTURE)
    form, content_type = encode_multipart_formdata(
        {"model": "gemini-3-pro-image", "prompt": "Bluer.", "image": ("a.png", image, "image/png")}
    )
    data = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(image).decode()}}
    contents = [{"role": "user", "parts": [data, {"text": "Bluer."}]}]
    body = json.dumps({"contents": contents, "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}).encode()
    native = "/v1/publishers/google/models/gemini-3-pro-image:generateContent"
    with other_simulator() as quiet:
        config = folder / "gateway.yaml"
        config.write_text(
            f"services:\n  quiet: {{provider: openai, base_url: '{quiet}/v1', api_key_env: OPENAI_API_KEY}}\n"
            "routes: [{model: 'gpt*', service: quiet}]\n"
        )
        options = ["openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}"]
        options.append(f"gateway_config={config}")
        mode, env = f"reverse:{simulator.url}", {"OPENAI_API_KEY": KEY}
        with Proxy(*options, folder=folder, confdir=folder / "confdir", mode=mode, serve=True, env=env) as proxy:
            idle = peak_memory(proxy.process.pid)
            passed = lateness_beside(proxy.url, native, body, "application/json")
            grown_by_passing = peak_memory(proxy.process.pid) - idle
            converted = lateness_beside(proxy.url, "/v1/images/edits", form, content_type)
            grown = peak_memory(proxy.process.pid) - idle
            (row,) = {(row["state"], row["images"]) for row in proxy.rows("operation = 'images/edits'")}
    assert row == ("done", 1)
    size = AT_ONCE * PICTURE
    print(
        f"pictures: {AT_ONCE} of 20 MB at a time, in and out: an event beside them comes {converted / passed:.1f} times"
        f" as late as beside the same that are passed on ({passed * 1000:.0f} ms); memory grows by {grown / size:.1f}"
        f" times their size (passed on: {grown_by_passing / size:.1f})"
    )


@contextmanager
def other_simulator() -> Iterator[str]:
    """Starts a second simulator in a process of its own, so that images do not delay its answers. Yields its URL."""
    command = [sys.executable, "-m", "tests.vertex_simulator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


def lateness_beside(url: str, path: str, body: bytes, content_type: str) -> float:
    """The longest delay of an event of a stream, in seconds, while AT_ONCE threads make images."""
    headers = {"content-type": content_type, "x-simulator": json.dumps({"padding": PICTURE // 3 * 4})}

    def make() -> None:
        while not over.is_set():
            with connection(url, timeout=120) as client:
                client.request("POST", path, body, headers)
                answer = client.getresponse()
                assert (answer.status, len(answer.read()) > PICTURE) == (200, True)

    over = threading.Event()
    threads = [threading.Thread(target=make) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello."}], "stream": True}
    late = longest_wait(url, "/v1/chat/completions", chat, {"split": 6, "pause": PAUSE_S})
    over.set()
    for thread in threads:
        thread.join()
    return late


def peak_memory(pid: int) -> int:
    """The most memory that a process has used so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


BENCHES: dict[str, Callable[[Path, Simulator], None]] = {
    "kill": kill,
    "lock": lock,
    "overhead": overhead,
    "picture": picture,
    "pictures": pictures,
    "fallback": fallback,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "names", nargs="*", metavar="BENCH", help=f"of {', '.join([*BENCHES, 'events', 'chats'])}; default: all"
    )
    parser.add_argument("--against", default="HEAD~1", metavar="REVISION", help="of `events`")
    parser.add_argument("--dialect", action="append", choices=DIALECTS, help="of `chats`; default: all")
    told = parser.parse_args()
    benches = BENCHES | {
        "events": partial(events, against=told.against),
        "chats": partial(chats, dialects=told.dialect or [*DIALECTS]),
    }
    if unknown := set(told.names) - benches.keys():
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    for name in told.names or benches:
        with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
            benches[name](Path(folder), simulator)


if __name__ == "__main__":
    main()
