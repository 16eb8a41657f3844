"""Many calls while the configuration changes, and while keys are replaced: none fails, and none goes astray."""

import json
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import connection
from tests.http import send
from tests.process import until
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
CLIENTS = 4


@pytest.fixture
def own() -> Iterator[Simulator]:
    """A Google of these tests, whose tokens they may revoke."""
    with Simulator(credentials=Credentials()) as running:
        yield running


class Made(NamedTuple):
    """A call that was made, and the state of things when it began and when it had ended."""

    before: int
    after: int
    name: str
    status: int


class Load:
    """Clients that call all the time, each on one connection. Every call has a name, which is its tag in the ledger."""

    def __init__(self, url: str, paths: list[str], state: Callable[[], tuple[int, int]]) -> None:
        self.made: list[Made] = []
        self._url, self._paths, self._state = url, paths, state
        self._over = threading.Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Until the end of the block; then every client's last call has ended."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(self._client, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._over.set()
            for client in clients:
                client.result()

    def until_more(self, calls: int) -> None:
        """Until so many more calls have been made."""
        aim = len(self.made) + calls
        until(lambda: len(self.made) >= aim, 60)

    def _client(self, number: int) -> None:
        with connection(self._url) as client:
            for turn in range(1_000_000):
                if self._over.is_set():
                    return
                name, (before, _) = f"{number}-{turn}", self._state()
                headers = {"x-goog-api-key": "", "x-name": name}
                answer = send(client, self._paths[turn % len(self._paths)], HELLO, headers=headers)
                self.made.append(Made(before, self._state()[1], name, answer.status))


PLACES = {
    "one": ("test-project", "global"),
    "two": ("other-project", "europe-west4"),
}
"""Service -> its project and location."""


def test_a_thousand_calls_over_twenty_reloads(start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
    """Each call is answered by the service that the configuration names which was there when it came. Every fourth
    configuration is broken, and changes nothing. Keys that stay keep their tokens."""
    for name, (project, _) in PLACES.items():
        key = own.credentials.service_account(own.token_uri, project)
        (tmp_path / f"{name}.json").write_text(json.dumps(key))
    services = "".join(
        f"  {name}: {{auth: service_account, credentials: {name}.json, location: {location}}}\n"
        for name, (_, location) in PLACES.items()
    )
    file = tmp_path / "gateway.yaml"

    def write(service: str) -> None:
        file.write_text(f"services:\n{services}routes: [{{base_path: /x, service: {service}}}]\n")

    answering = ["one"]
    """The service that answers, by the number of the reload."""
    adopted = 0
    write("one")
    options = ("gateway_config=gateway.yaml", "usage_tags=x-name")
    proxy = start_proxy(*options, mode=f"reverse:{own.url}", serve=True, arguments=("--quiet",))

    def answered() -> int:
        return sum(map(proxy.output.count, ("read the configuration again:", "the configuration stays as it was")))

    load = Load(proxy.url, ["/x" + UNARY], lambda: (adopted, len(answering) - 1))
    with load.going_on():
        for number in range(1, 21):
            load.until_more(25)
            if number % 4:
                write("one" if answering[-1] == "two" else "two")
                answering.append("one" if answering[-1] == "two" else "two")
            else:
                file.write_text("services: {")
                answering.append(answering[-1])
            proxy.process.send_signal(signal.SIGHUP)
            until(lambda number=number: answered() == number, 60)
            adopted = number
            load.until_more(25)
    assert len(load.made) >= 1000
    assert {made.status for made in load.made} == {200}
    rows = {json.loads(row["tags"])["x-name"]: row for row in proxy.rows()}
    astray = [
        made
        for made in load.made
        if rows[made.name]["service"] not in answering[made.before : made.after + 1]
        or (rows[made.name]["project"], rows[made.name]["location"]) != PLACES[rows[made.name]["service"]]
    ]
    assert astray == []
    assert len(rows) == len(load.made)
    assert {(row["state"], row["usage_state"], row["attempts"]) for row in rows.values()} == {("done", "final", 1)}
    assert own.credentials.minted == 2
    sent = [seen.request for seen in own.seen if seen.request.path != "/token"]
    assert len({(request.path, request.headers["authorization"]) for request in sent}) == 2


def test_keys_that_are_replaced(start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
    """While calls go on, a file and what a command prints become another key, and Google takes the old ones no longer:
    sometimes it rejects their tokens, sometimes it gives them no more. No call fails, without any reload."""
    old: list[str] = []

    def replace() -> None:
        for name in ("file.json", "held.json"):
            key = own.credentials.service_account(own.token_uri)
            (tmp_path / "new.json").write_text(json.dumps(key))
            (tmp_path / "new.json").rename(tmp_path / name)
            old.append(key["client_email"])

    replace()
    (tmp_path / "gateway.yaml").write_text(
        "services:\n"
        "  file: {auth: service_account, credentials: file.json}\n"
        "  held: {auth: service_account, credentials_command: [cat, held.json]}\n"
        "routes: [{base_path: /file, service: file}, {base_path: /held, service: held}]\n"
    )
    # The first tokens are renewed after three seconds.
    own.credentials.expires_in = 4
    proxy = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{own.url}", serve=True, arguments=("--quiet",))
    paths = [f"/{place}{path}" for place in ("file", "held") for path in (UNARY, STREAM)]
    load = Load(proxy.url, paths, lambda: (0, 0))
    with load.going_on():
        for turn in range(5):
            load.until_more(30)
            gone, minted = old[-2:], own.credentials.minted
            own.credentials.expires_in = 3600
            replace()
            for email in gone:
                own.credentials.forget(email)
            if turn:
                own.credentials.revoke()
            # For both, a token of the new key.
            until(lambda minted=minted: own.credentials.minted >= minted + 2, 60)
        load.until_more(30)
    assert {made.status for made in load.made} == {200}
    assert {row["service"] for row in proxy.rows()} == {"file", "held"}
    assert {row["state"] for row in proxy.rows()} == {"done"}
    assert "PRIVATE" not in proxy.output
