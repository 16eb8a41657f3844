"""google-cloud-aiplatform over gRPC: its calls are metered, and our tables are those of its proto files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from addons.entrance import BUNDLE
from metering.protobuf import VALUES
from metering.usage.grpc import ENUMS
from metering.usage.grpc import MESSAGES
from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.grpc_upstream import serving
from tests.process import until

NESTED = {
    "UsageMetadata": "GenerateContentResponse.UsageMetadata",
    "PromptFeedback": "GenerateContentResponse.PromptFeedback",
    "Embedding": "EmbedContentResponse.Embedding",
    "BlockedReason": "GenerateContentResponse.PromptFeedback.BlockedReason",
    "TrafficType": "GenerateContentResponse.UsageMetadata.TrafficType",
    "FinishReason": "Candidate.FinishReason",
}
"""Our name -> Google's, of what is inside another message."""
KINDS = {"int": {1, 2}, "double": {5}, "bool": {7}, "string": {9}, "bytes": {9}}
"""Our type -> the values of FieldDescriptor.cpp_type that it reads."""


@pytest.fixture(scope="module")
def googles(run_client: RunClient) -> dict[str, Any]:
    names = {"messages": list(MESSAGES.keys() - {"HttpBody"}), "enums": list(ENUMS)}
    asked = {kind: [NESTED.get(name, name) for name in those] for kind, those in names.items()}
    asked["messages"].append("UsageMetadata")
    told: dict[str, Any] = run_client("grpc_calls.py", {"calls": ["tables"], **asked})["tables"]
    return told


@pytest.mark.parametrize("name", sorted(MESSAGES.keys() - {"HttpBody"}))
def test_fields_are_googles(googles: dict[str, Any], name: str) -> None:
    found = [googles[version]["messages"][NESTED.get(name, name)] for version in ("v1", "v1beta1")]
    if name == "UsageMetadata":
        # EmbedContentResponse has it from another file, with the same numbers.
        found += [googles[version]["messages"]["UsageMetadata"] for version in ("v1", "v1beta1")]
    theirs = [fields for fields in found if fields]
    assert theirs
    for number, field in MESSAGES[name].items():
        told = {tuple(fields[str(number)]) for fields in theirs if str(number) in fields}
        (theirs_told,) = told
        their_name, their_type, is_list = theirs_told
        assert (their_name, is_list) == (snake(field.name), field.is_list), (name, number)
        expected = KINDS.get(field.type, {field.type})
        assert field.type == "seen" or their_type in expected or {field.type, their_type} <= VALUES.keys()


def snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("name", ENUMS)
def test_enums_are_googles(googles: dict[str, Any], name: str) -> None:
    theirs: dict[str, str] = {}
    for version in ("v1", "v1beta1"):
        theirs |= googles[version]["enums"][NESTED.get(name, name)] or {}
    assert {str(number): word for number, word in ENUMS[name].items()} == theirs


@pytest.fixture(scope="module")
def upstream(ca: trustme.CA) -> Iterator[int]:
    with serving(ca) as port:
        yield port


def test_calls(start_proxy: StartProxy, run_client: RunClient, upstream: int, ca_file: Path, confdir: Path) -> None:
    proxy = start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", mode=f"reverse:https://localhost:{upstream}")
    asked = {"port": proxy.port, "bundle": str(confdir / BUNDLE), "calls": ["generate", "stream", "count"]}
    told = run_client("grpc_calls.py", asked)
    assert told == {"generate": ["Hello there.", 14], "stream": ["Hello there.Hello there.", 14], "count": 31}
    until(lambda: len(proxy.rows("state = 'done'")) == 3)
    rows = [
        (row["operation"], row["usage_state"], row["model"], row["total_tokens"], row["counted_tokens"])
        for row in proxy.new_rows()
    ]
    assert rows == [
        ("generateContent", "final", "gemini-2.5-flash", 14, None),
        ("streamGenerateContent", "final", "gemini-2.5-flash", 14, None),
        ("countTokens", "not_applicable", "gemini-2.5-flash", None, 31),
    ]
    assert proxy.rows()[0]["sdk"] is not None
