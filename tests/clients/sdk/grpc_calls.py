"""Calls of google-cloud-aiplatform over gRPC, and what its proto files say: JSON on standard output."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1.services.llm_utility_service import transports as counting
from google.cloud.aiplatform_v1.services.prediction_service import transports as predictions

MODEL = "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash"


def fields(package: Any, message: str) -> dict[str, Any] | None:
    """Field number -> [name, type, whether it is a list] of a message; `A.B` is one inside another. None if there is
    none."""
    found = package
    for name in message.split("."):
        found = getattr(found, name, None)
    if found is None:
        return None
    described = found.pb().DESCRIPTOR
    return {
        field.number: [
            field.name,
            (field.message_type or field.enum_type).name if field.message_type or field.enum_type else field.cpp_type,
            field.is_repeated,
        ]
        for field in described.fields
    }


def enums(package: Any, name: str) -> dict[int, str] | None:
    found = package
    for part in name.split("."):
        found = getattr(found, part, None)
    return None if found is None else {one.value: one.name for one in found}


def tables(asked: dict[str, Any]) -> dict[str, Any]:
    # It takes seconds to import, and the calls do not need it.
    packages = {"v1": aiplatform_v1, "v1beta1": importlib.import_module("google.cloud.aiplatform_v1beta1")}
    return {
        version: {
            "messages": {name: fields(package, name) for name in asked["messages"]},
            "enums": {name: enums(package, name) for name in asked["enums"]},
        }
        for version, package in packages.items()
    }


def channel(asked: dict[str, Any]) -> grpc.Channel:
    trusted = grpc.ssl_channel_credentials(Path(asked["bundle"]).read_bytes())
    return grpc.secure_channel(f"localhost:{asked['port']}", trusted)


def client(asked: dict[str, Any]) -> aiplatform_v1.PredictionServiceClient:
    transport = predictions.PredictionServiceGrpcTransport(channel=channel(asked))
    return aiplatform_v1.PredictionServiceClient(transport=transport)


def request(**more: Any) -> Any:
    contents = [aiplatform_v1.Content(role="user", parts=[aiplatform_v1.Part(text="hello")])]
    return {"model": MODEL, "contents": contents, **more}


def generate(asked: dict[str, Any]) -> object:
    answer = client(asked).generate_content(request())
    return [answer.candidates[0].content.parts[0].text, answer.usage_metadata.total_token_count]


def stream(asked: dict[str, Any]) -> object:
    answers = list(client(asked).stream_generate_content(request()))
    text = "".join(answer.candidates[0].content.parts[0].text for answer in answers)
    return [text, answers[-1].usage_metadata.total_token_count]


def count(asked: dict[str, Any]) -> object:
    transport = counting.LlmUtilityServiceGrpcTransport(channel=channel(asked))
    counter = aiplatform_v1.LlmUtilityServiceClient(transport=transport)
    return counter.count_tokens({"endpoint": MODEL, **request()}).total_tokens


CALLS = {"tables": tables, "generate": generate, "stream": stream, "count": count}

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    json.dump({name: CALLS[name](told) for name in told["calls"]}, sys.stdout)
