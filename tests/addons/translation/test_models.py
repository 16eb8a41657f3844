from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.errors import Failure
from addons.translation.models import as_anthropics
from addons.translation.models import catalogue
from addons.translation.models import next_page
from addons.translation.models import one
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING

PARENT = "projects/my-project/locations/us-central1"


def own(id: str, *endpoints: str, **members: object) -> dict[str, object]:
    deployed = [{"endpoint": f"{PARENT}/endpoints/{number}", "deployedModelId": "7"} for number in endpoints]
    return {"name": f"{PARENT}/models/{id}", "deployedModels": deployed, **members}


def data(configured: list[str], *pages: object) -> Any:
    return catalogue(configured, [*pages])["data"]


def test_the_form_is_openais() -> None:
    page = {"models": [own("5", "77", displayName="My tuned one", createTime="2026-01-02T03:04:05.678901234Z")]}
    assert catalogue(["gemini-2.5-pro"], [page]) == {
        "object": "list",
        "data": [
            {
                "id": "gemini-2.5-pro",
                "object": "model",
                "created": 0,
                "owned_by": "google",
                "display_name": "Gemini 2.5 Pro",
            },
            {
                "id": "77",
                "object": "model",
                "created": 1767323045,
                "owned_by": "my-project",
                "display_name": "My tuned one",
            },
        ],
    }


@pytest.mark.parametrize(
    ("configured", "pages", "ids"),
    [
        ([], [], []),
        (["b", "a"], [], ["b", "a"]),
        (["b", "a", "b"], [], ["b", "a"]),
        (["a"], [{"models": [own("5"), own("6")]}, {"models": [own("7")]}], ["a", "5", "6", "7"]),
        (["a"], [{"models": [own("5", "77", "78")]}], ["a", "77", "78"]),
        (["77"], [{"models": [own("5", "77"), own("6", "77")]}], ["77"]),
        ([], [{"models": [{"name": f"{PARENT}/models/5", "deployed_models": [{"endpoint": "e/9"}]}]}], ["9"]),
        ([], [{"models": [{"name": f"{PARENT}/models/5", "deployedModels": [{"endpoint": "e/"}, 5]}]}], ["5"]),
        (["a"], [{"models": [None, {}, {"name": "models/5"}, {"name": 5}]}], ["a"]),
        (["a"], ANYTHING, ["a"]),
    ],
)
def test_configured_ones_first_and_each_once(configured: list[str], pages: list[object], ids: list[str]) -> None:
    assert [entry["id"] for entry in data(configured, *pages)] == ids


def test_of_two_the_first_is_kept() -> None:
    assert data(["77"], {"models": [own("5", "77", displayName="Mine")]}) == data(["77"])


@pytest.mark.parametrize(
    ("id", "name", "owner"),
    [
        ("gemini-pro", "Gemini Pro", "google"),
        ("gemini-2.0-flash", "Gemini 2.0 Flash", "google"),
        ("gemini-embedding-001", "Gemini Embedding 001", "google"),
        ("google/gemini-2.5-flash", "Gemini 2.5 Flash", "google"),
        ("veo-3.0-generate-001", "Veo 3.0 Generate 001", "google"),
        ("claude-3-5-sonnet", "Claude 3.5 Sonnet", "anthropic"),
        ("claude-3-5-sonnet-v2@20241022", "Claude 3.5 Sonnet V2", "anthropic"),
        ("claude-opus-4-1", "Claude Opus 4.1", "anthropic"),
        ("llama-4-maverick-17b-128e-instruct-maas", "Llama 4 Maverick 17b 128e Instruct MaaS", "meta"),
        ("openai/gpt-oss-120b-maas", "GPT OSS 120b MaaS", "openai"),
        ("gpt-oss-120b-maas", "GPT OSS 120b MaaS", "openai"),
        ("vertex_ai/gemini-2.5-flash", "Gemini 2.5 Flash", "google"),
        ("gemma-3-27b-it", "Gemma 3 27b It", "google"),
        ("deepseek-v3.1-maas", "DeepSeek V3.1 MaaS", "deepseek-ai"),
        ("minimax-m2-maas", "MiniMax M2 MaaS", "minimaxai"),
        ("glm-4.7-maas", "GLM 4.7 MaaS", "zai-org"),
        ("text-embedding-005", "Text Embedding 005", "google"),
        ("imagen-4.0-generate-001", "Imagen 4.0 Generate 001", "google"),
        # An alias of somebody else's name, and what is no name.
        ("gpt-4o", "GPT 4o", "system"),
        ("my model", "My model", "system"),
        ("mistral-small-2503", "Mistral Small 2503", "mistralai"),
        ("1234567890", "1234567890", "system"),
    ],
)
def test_names_to_read_and_owners(id: str, name: str, owner: str) -> None:
    assert [(entry["display_name"], entry["owned_by"]) for entry in data([id])] == [(name, owner)]


@pytest.mark.parametrize(
    ("time", "created"),
    [
        ("2026-01-02T03:04:05Z", 1767323045),
        ("2026-01-02T03:04:05+01:00", 1767319445),
        ("2026-01-02T03:04:05", 1767323045),
        ("1960-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+23:00", 0),
        ("yesterday", 0),
        (5, 0),
        (None, 0),
    ],
)
def test_times(time: object, created: int) -> None:
    assert data([], {"models": [own("5", createTime=time)]})[0]["created"] == created


def test_one_of_them() -> None:
    page = {"models": [own("5", "77")]}
    assert one("a", ["b", "a"], []) == data(["a"])[0]
    assert one("77", ["a"], [page]) == data([], page)[0]
    assert one("5", ["a"], [page]) == Failure(404, "The model `5` does not exist", "NOT_FOUND")


@pytest.mark.parametrize(
    ("document", "token"),
    [({"nextPageToken": "t"}, "t"), ({"next_page_token": "t"}, "t"), ({"nextPageToken": ""}, None)]
    + [(document, None) for document in ANYTHING],
)
def test_pages(document: object, token: str | None) -> None:
    assert next_page(document) == token


models = st.fixed_dictionaries(
    {"name": st.text() | st.just(f"{PARENT}/models/5")},
    optional={
        "displayName": json_values,
        "createTime": json_values | st.datetimes().map(lambda time: time.isoformat()),
        "deployedModels": json_values | st.lists(st.fixed_dictionaries({"endpoint": json_values})),
    },
)


@given(st.lists(json_values | st.fixed_dictionaries({"models": json_values | st.lists(models)})))
def test_any_page(pages: list[object]) -> None:
    entries = data(["a"], *pages)
    assert entries[0]["id"] == "a"
    assert all(isinstance(entry["created"], int) and entry["id"] and entry["owned_by"] for entry in entries)
    assert len({entry["id"] for entry in entries}) == len(entries)


def test_anthropics_form() -> None:
    page = {"models": [own("5", "77", displayName="My tuned one", createTime="2026-01-02T03:04:05.678901234Z")]}
    assert as_anthropics(catalogue(["gemini-2.5-pro"], [page])) == {
        "data": [
            {
                "type": "model",
                "id": "gemini-2.5-pro",
                "display_name": "Gemini 2.5 Pro",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            },
            {
                "type": "model",
                "id": "77",
                "display_name": "My tuned one",
                "created_at": "2026-01-02T03:04:05Z",
                "lifecycle": "active",
            },
        ],
        "has_more": False,
        "first_id": "gemini-2.5-pro",
        "last_id": "77",
    }


def test_one_in_anthropics_form() -> None:
    found = as_anthropics({"id": "qwen-max", "created": -5})
    assert found == {
        "type": "model",
        "id": "qwen-max",
        "display_name": "Qwen Max",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
    failure = Failure(404, "x", "NOT_FOUND")
    assert as_anthropics(failure) is failure


def test_no_models_in_anthropics_form() -> None:
    assert as_anthropics({"data": []}) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@given(st.dictionaries(st.sampled_from(["data", "id", "created"]), json_values))
def test_any_list_in_anthropics_form(document: dict[str, object]) -> None:
    assert isinstance(as_anthropics(document), dict)
