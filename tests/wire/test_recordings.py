"""The recorded answers of every format, through the proxy: each leaves the row that must come of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metering.call import MODALITIES
from tests.http import call
from tests.metering.usage.test_recordings import RECORDINGS
from tests.metering.usage.test_recordings import body_of
from tests.metering.usage.test_recordings import expected_of
from tests.process import Proxy
from tests.raw_upstream import RawUpstream

NO_WEBSOCKET = [path for path in RECORDINGS if json.loads(path.read_bytes())["status"] != 101]


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}") as running:
        yield running


@pytest.mark.parametrize("path", NO_WEBSOCKET, ids=lambda path: path.stem)
def test_the_row(path: Path, proxy: Proxy, upstream: RawUpstream) -> None:
    recording: dict[str, Any] = json.loads(path.read_bytes())
    body = body_of(recording)
    headers = "".join(f"{name}: {value}\r\n" for name, value in recording["headers"].items())
    head = f"HTTP/1.1 {recording['status']} X\r\n{headers}content-length: {len(body)}\r\n\r\n".encode()
    upstream.answers[recording["path"]] = (head, body[: len(body) // 2], body[len(body) // 2 :])
    answer = call(proxy.url, recording["path"], recording["request"], method=recording["method"])
    assert (answer.status, answer.body) == (recording["status"], body)
    row = proxy.new_row()
    expected = expected_of(recording)
    read = {
        name: json.loads(row[name]) if name in (*MODALITIES, "usage_raw") and row[name] else row[name]
        for name in expected
    }
    assert read == expected
