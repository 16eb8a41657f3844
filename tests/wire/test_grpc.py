"""gRPC, as google-cloud-aiplatform speaks it: passed on, and recorded with path, status and latency."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
import trustme

from addons.entrance import BUNDLE
from tests.conftest import StartProxy
from tests.process import Proxy
from tests.process import Row
from tests.process import until

SERVICE = "google.cloud.aiplatform.v1.PredictionService"


class Predictions(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Methods of PredictionService; the messages are any bytes."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def generate(request: bytes, context: grpc.ServicerContext) -> bytes:
            if request == b"fail":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "MARK")
            return b"answer to " + request

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from (b"one", b"two", b"three")

        return {
            f"/{SERVICE}/GenerateContent": grpc.unary_unary_rpc_method_handler(generate),
            f"/{SERVICE}/StreamGenerateContent": grpc.unary_stream_rpc_method_handler(stream),
        }.get(details.method)


@pytest.fixture(scope="module")
def upstream(ca: trustme.CA) -> Iterator[int]:
    certificate = ca.issue_cert("localhost")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Predictions()])
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield port
    server.stop(0).wait()


@pytest.fixture
def proxy(start_proxy: StartProxy, upstream: int, ca_file: Path) -> Proxy:
    return start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", mode=f"reverse:https://localhost:{upstream}")


@pytest.fixture
def channel(proxy: Proxy, confdir: Path) -> Iterator[grpc.Channel]:
    trusted = grpc.ssl_channel_credentials((confdir / BUNDLE).read_bytes())
    with grpc.secure_channel(f"localhost:{proxy.port}", trusted) as channel:
        yield channel


def ask(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    answer: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=10)
    return answer


def settled(proxy: Proxy) -> Row:
    until(lambda: proxy.rows() and not proxy.rows("state = 'open'"))
    return proxy.new_row()


def test_unary(proxy: Proxy, channel: grpc.Channel) -> None:
    assert ask(channel, "GenerateContent", b"hello") == b"answer to hello"
    row = settled(proxy)
    assert (row["surface"], row["operation"], row["state"]) == ("vertex", "generateContent", "done")
    assert (row["path"], row["status"]) == (f"/{SERVICE}/GenerateContent", 200)
    assert (row["usage_state"], row["error_type"], row["input_tokens"]) == ("unsupported", None, None)
    assert row["request_bytes"] == 5 + len(b"hello")
    assert row["duration_us"] >= row["upstream_us"] > 0


def test_stream(proxy: Proxy, channel: grpc.Channel) -> None:
    method = channel.unary_stream(f"/{SERVICE}/StreamGenerateContent")
    assert list(method(b"hello", timeout=10)) == [b"one", b"two", b"three"]
    assert settled(proxy)["operation"] == "streamGenerateContent"


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [("GenerateContent", b"fail", "RESOURCE_EXHAUSTED"), ("Nothing", b"hello", "UNIMPLEMENTED")],
)
def test_errors_are_in_the_trailers(
    proxy: Proxy, channel: grpc.Channel, method: str, request_: bytes, code: str
) -> None:
    with pytest.raises(grpc.RpcError) as told:
        ask(channel, method, request_)
    assert told.value.code().name == code
    row = settled(proxy)
    assert (row["state"], row["status"], row["error_type"]) == ("done", 200, code)
    assert "MARK" not in proxy.output + str(row)
