"""gRPC, as google-cloud-aiplatform speaks it: passed on, and its messages read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import trustme

from addons.entrance import BUNDLE
from tests.conftest import StartProxy
from tests.grpc_upstream import ANSWER
from tests.grpc_upstream import CHUNKS
from tests.grpc_upstream import CLAUDE
from tests.grpc_upstream import MODEL
from tests.grpc_upstream import SERVICE
from tests.grpc_upstream import serving
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.protobuf import message


@pytest.fixture(scope="module")
def upstream(ca: trustme.CA) -> Iterator[int]:
    with serving(ca) as port:
        yield port


@pytest.fixture
def proxy(start_proxy: StartProxy, upstream: int, ca_file: Path) -> Proxy:
    return start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", mode=f"reverse:https://localhost:{upstream}")


@contextmanager
def connected(proxy: Proxy, confdir: Path) -> Iterator[grpc.Channel]:
    trusted = grpc.ssl_channel_credentials((confdir / BUNDLE).read_bytes())
    with grpc.secure_channel(f"localhost:{proxy.port}", trusted) as channel:
        yield channel


@pytest.fixture
def channel(proxy: Proxy, confdir: Path) -> Iterator[grpc.Channel]:
    with connected(proxy, confdir) as channel:
        yield channel


def asking(said: str = "hello", model: str = MODEL) -> bytes:
    """A GenerateContentRequest."""
    return message({2: {1: "user", 2: {1: said}}, 5: model})


def ask(channel: grpc.Channel, method: str, request: bytes, compression: object = None) -> bytes:
    answer: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=10, compression=compression)
    return answer


def settled(proxy: Proxy) -> Row:
    until(lambda: proxy.rows() and not proxy.rows("state = 'open'"))
    return proxy.new_row()


COUNTS = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14, "traffic_type": "ON_DEMAND"}


def check_counts(row: Row) -> None:
    assert {name: row[name] for name in COUNTS} == COUNTS
    assert (row["state"], row["usage_state"], row["finish_reason"]) == ("done", "final", "STOP")
    assert (row["model"], row["publisher"], row["model_served"]) == ("gemini-2.5-flash", "google", "gemini-2.5-flash")
    assert (row["project"], row["location"]) == ("p", "us-central1")


def test_unary(proxy: Proxy, channel: grpc.Channel) -> None:
    request = asking()
    assert ask(channel, "GenerateContent", request) == ANSWER
    row = settled(proxy)
    check_counts(row)
    assert (row["surface"], row["operation"], row["streamed"]) == ("vertex", "generateContent", 0)
    assert (row["path"], row["status"], row["error_type"]) == (f"/{SERVICE}/GenerateContent", 200, None)
    assert row["request_bytes"] == 5 + len(request)
    assert row["response_bytes"] == 5 + len(ANSWER)
    assert row["duration_us"] >= row["upstream_us"] > 0


def test_stream(proxy: Proxy, channel: grpc.Channel) -> None:
    method = channel.unary_stream(f"/{SERVICE}/StreamGenerateContent")
    assert list(method(asking(), timeout=10)) == CHUNKS
    row = settled(proxy)
    check_counts(row)
    assert (row["operation"], row["streamed"]) == ("streamGenerateContent", 1)
    assert 0 < row["ttft_us"] <= row["upstream_us"]


@pytest.mark.parametrize("coding", ["Gzip", "Deflate"])
def test_compressed_messages(
    start_proxy: StartProxy, ca: trustme.CA, ca_file: Path, confdir: Path, coding: str
) -> None:
    compression = getattr(grpc.Compression, coding)
    with serving(ca, compression=compression) as port:
        proxy = start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", mode=f"reverse:https://localhost:{port}")
        with connected(proxy, confdir) as channel:
            # Short messages are not compressed.
            request = asking("hello " * 1000)
            assert ask(channel, "GenerateContent", request, compression) == ANSWER
    row = settled(proxy)
    check_counts(row)
    assert row["request_bytes"] < len(request)


def test_the_model_is_known_before_the_answer(proxy: Proxy, channel: grpc.Channel) -> None:
    answers = channel.unary_stream(f"/{SERVICE}/StreamGenerateContent")(asking("wait"), timeout=10)
    assert next(answers) == CHUNKS[0]
    (row,) = proxy.rows()
    assert (row["state"], row["model"]) == ("open", "gemini-2.5-flash")
    answers.cancel()
    row = settled(proxy)
    assert (row["state"], row["usage_state"], row["error_type"]) == ("client_closed", "absent", "client_closed")


def test_raw_predict(proxy: Proxy, channel: grpc.Channel) -> None:
    ask(channel, "RawPredict", message({1: CLAUDE, 2: {1: "application/json", 2: "{}"}}))
    row = settled(proxy)
    assert (row["operation"], row["publisher"], row["model"]) == ("rawPredict", "anthropic", "claude-sonnet-4-5")
    assert (row["usage_state"], row["input_tokens"], row["output_tokens"]) == ("final", 9, 3)


@pytest.mark.parametrize(
    ("method", "request_"),
    [("GenerateContent", asking("nonsense")), ("DirectPredict", message({1: MODEL})), ("GenerateContent", b"\x0b")],
)
def test_what_cannot_be_read_is_passed_on(proxy: Proxy, channel: grpc.Channel, method: str, request_: bytes) -> None:
    answer = ask(channel, method, request_)
    row = settled(proxy)
    assert (row["state"], row["status"]) == ("done", 200)
    if request_ == b"\x0b":
        assert answer == ANSWER
        assert (row["usage_state"], row["model"]) == ("final", None)
    else:
        assert (row["usage_state"], row["model"]) == ("unsupported", "gemini-2.5-flash")


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [("GenerateContent", asking("fail"), "RESOURCE_EXHAUSTED"), ("Nothing", b"hello", "UNIMPLEMENTED")],
)
def test_errors_are_in_the_trailers(
    proxy: Proxy, channel: grpc.Channel, method: str, request_: bytes, code: str
) -> None:
    with pytest.raises(grpc.RpcError) as told:
        ask(channel, method, request_)
    assert told.value.code().name == code
    row = settled(proxy)
    assert (row["state"], row["status"], row["error_type"]) == ("done", 200, code)
    assert row["usage_state"] == "not_applicable"
    assert "MARK" not in proxy.output + str(row)


def test_an_error_within_a_stream(proxy: Proxy, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError):
        list(channel.unary_stream(f"/{SERVICE}/StreamGenerateContent")(asking("fail"), timeout=10))
    row = settled(proxy)
    assert (row["state"], row["usage_state"], row["error_type"]) == ("upstream_failed", "absent", "UNAVAILABLE")
