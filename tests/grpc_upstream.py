"""An upstream that speaks gRPC: Google's PredictionService, as far as the tests call it."""

import json
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import trustme

from tests.protobuf import message

SERVICE = "google.cloud.aiplatform.v1.PredictionService"
COUNTING = "google.cloud.aiplatform.v1.LlmUtilityService"
MODEL = "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash"
CLAUDE = "projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5"
USAGE = {1: 10, 2: 4, 3: 14, 8: 1}
"""The fields of UsageMetadata: prompt, candidates, total, traffic type."""
ANSWER = message({2: {2: {2: {1: "Hello there."}}, 3: 1}, 4: USAGE, 11: "gemini-2.5-flash"})
CHUNKS = [message({2: {2: {2: {1: "Hello"}}}, 4: {8: 1}}), message({2: {2: {2: {1: " there."}}}}), ANSWER]
MESSAGE = {"type": "message", "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 3}}


class Predictions(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Methods of PredictionService. `said` in a request decides what is answered."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def generate(request: bytes, context: grpc.ServicerContext) -> bytes:
            if b"fail" in request:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "MARK")
            return b"no message" if b"nonsense" in request else ANSWER

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from CHUNKS[:-1]
            if b"fail" in request:
                context.abort(grpc.StatusCode.UNAVAILABLE, "MARK")
            if b"wait" in request:
                time.sleep(10)
            yield CHUNKS[-1]

        def raw(request: bytes, context: grpc.ServicerContext) -> bytes:
            return message({1: "application/json", 2: json.dumps(MESSAGE)})

        return {
            f"/{SERVICE}/GenerateContent": grpc.unary_unary_rpc_method_handler(generate),
            f"/{SERVICE}/StreamGenerateContent": grpc.unary_stream_rpc_method_handler(stream),
            f"/{SERVICE}/RawPredict": grpc.unary_unary_rpc_method_handler(raw),
            f"/{COUNTING}/CountTokens": grpc.unary_unary_rpc_method_handler(lambda request, context: message({1: 31})),
            f"/{SERVICE}/DirectPredict": grpc.unary_unary_rpc_method_handler(generate),
        }.get(details.method)


@contextmanager
def serving(ca: trustme.CA, compression: object = None) -> Iterator[int]:
    certificate = ca.issue_cert("localhost")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Predictions()], compression=compression)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()
