"""OpenAI's images, embeddings, Responses, videos, models, and chat with Claude, served by Vertex AI."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rewritten
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import Seen
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.claude import SIGNATURE as CLAUDE_SIGNATURE
from tests.vertex_simulator.embeddings import vector
from tests.vertex_simulator.gemini import SIGNATURE as GEMINI_SIGNATURE
from tests.vertex_simulator.pictures import look_at_text
from tests.vertex_simulator.veo import VIDEO

CLIENTS = [("surface_calls.py", False), ("surface_calls.py", True), ("surface_calls.mjs", False)]
GEMINI_TEXT = "Hello there, this is "
CLAUDE_TEXT = "Hello there, this is"
REFUSED = ["BadRequestError", True]


def embedded(*texts: str, size: int, counts: int | None = None) -> Any:
    """What comes of texts, in their order; with the usage, if that is asked for."""
    vectors = [[index, size, vector(text, size)[:2]] for index, text in enumerate(texts)]
    return vectors if counts is None else [vectors, {"prompt_tokens": counts, "total_tokens": counts}]


IMAGES: dict[str, Any] = {
    "image_sizes": [
        "png 1024x1024",
        "png 2752x1536",
        "png 1696x2528",
        "png 3168x1344",
        "png 1248x832",
        "png 1024x1024",
    ],
    "images_several": [3, 6],
    "image_format": ["jpeg", "jpeg"],
    "image_refused": [REFUSED, REFUSED],
    "edit": ["png 1024x1024"],
    "edit_several": ["png 1024x1024"],
    "edit_masked": ["png 64x48"],
    "variation": ["png 2752x1536"],
}
EMBEDDINGS: dict[str, Any] = {
    "embed": embedded("Hello there", size=768, counts=2),
    "embed_list": embedded("one", "two words", "three words here", size=64, counts=6),
    "embed_floats": [vector("one", 2), vector("two", 2)],
    "embed_base64": vector("one", 2),
    "embed_one_by_one": [embedded("one", "two words", size=16)] * 2,
    "embed_many": [300, [299, 4, vector("text 299", 2)], 600],
}
RESPONSES: dict[str, Any] = {
    "respond": ["completed", GEMINI_TEXT, 6, 4, 10],
    "respond_stream": ["response.created", "response.completed", GEMINI_TEXT, True, GEMINI_TEXT],
    "respond_events": ["response.created", "response.completed", GEMINI_TEXT],
    "respond_parse": 42,
    "respond_tools": [[["Paris", "Oslo"], GEMINI_TEXT], [["Paris", "Oslo"], CLAUDE_TEXT]],
    "respond_reasoning": [
        [["Paris", "Oslo"], GEMINI_TEXT, ["Let me think."], True],
        [["Paris", "Oslo"], CLAUDE_TEXT, ["Let me think."], True],
    ],
    "respond_search": [GEMINI_TEXT, "web_search_call", [["https://example.com/", "Example"]]],
    "respond_claude": ["completed", CLAUDE_TEXT, "response.completed", CLAUDE_TEXT],
    "respond_previous": REFUSED,
}
CHAT: dict[str, Any] = {
    "claude": [CLAUDE_TEXT, "stop", 5, True],
    "claude_stream": [CLAUDE_TEXT, ["stop"], 9],
    "claude_parse": 42,
    "claude_tools": ["tool_calls", ["Paris", "Oslo"], "stop", CLAUDE_TEXT, None],
    "claude_thinking": ["tool_calls", ["Paris", "Oslo"], "stop", CLAUDE_TEXT, "Let me think."],
    "claude_tools_stream": [["Paris", "Oslo"], ["tool_calls"]],
}
VIDEOS: dict[str, Any] = {
    "video": [True, "completed", "veo-3.0-generate-001", "8", "1280x720", base64.b64encode(VIDEO).decode()],
    "video_of_image": "completed",
    "video_refused": ["failed", True, REFUSED],
}
POLLED = {"video_polled": "completed"}
"""Of Python only."""


@pytest.fixture
def proxy(start_proxy: StartProxy, simulator: Simulator, key_file: Path) -> Proxy:
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key_file}")
    return start_proxy(*options, "gateway_base_path=/gemini", mode=f"reverse:{simulator.url}", serve=True)


class Calls:
    """Runs calls of a client, and holds every row of the ledger against what was reported."""

    def __init__(self, proxy: Proxy, simulator: Simulator, run_client: RunClient, client: tuple[str, bool]) -> None:
        self._proxy, self._simulator, self._run_client = proxy, simulator, run_client
        self._script, self._is_asynchronous = client
        self.rows: list[Row] = []
        self.seen: list[Seen] = []

    def __call__(self, names: list[str]) -> dict[str, Any]:
        before = len(self._simulator.seen)
        asked = {"base_url": f"{self._proxy.url}/gemini/v1", "asynchronous": self._is_asynchronous, "calls": names}
        answers = self._run_client(self._script, asked)
        until(lambda: not self._proxy.rows("state = 'open'"))
        self.rows, self.seen = recent(self._proxy, self._simulator, before)
        check_rewritten(self.rows, self.seen)
        return answers

    def sent(self, part: str) -> list[Any]:
        """The bodies of what went to paths with this part."""
        return [call.request.json() for call in self.seen if part in call.request.path]


@pytest.fixture(params=CLIENTS, ids=["python", "python-async", "node"])
def calls(request: pytest.FixtureRequest, proxy: Proxy, simulator: Simulator, run_client: RunClient) -> Calls:
    return Calls(proxy, simulator, run_client, request.param)


def test_images(calls: Calls) -> None:
    answers = calls(["image", *IMAGES])
    made, *usage = answers.pop("image")
    assert made == ["png 1024x1024"]
    first = calls.rows[0]
    assert usage == [first[name] for name in ("input_tokens", "output_tokens", "total_tokens")]
    assert answers == IMAGES
    several, of_imagen = (row for row in calls.rows if row["images"] in (3, 6))
    assert (several["images"], several["attempts"]) == (3, 3)
    assert (of_imagen["images"], of_imagen["attempts"]) == (6, 2)
    assert {row["operation"] for row in calls.rows} == {"images/generations", "images/edits", "images/variations"}


def test_a_mask_is_white_where_it_was_transparent(calls: Calls) -> None:
    calls(["edit_masked"])
    ((instance,),) = (body["instances"] for body in calls.sent(":predict"))
    raw, mask = instance["referenceImages"]
    assert (raw["referenceType"], mask["referenceType"]) == ("REFERENCE_TYPE_RAW", "REFERENCE_TYPE_MASK")
    assert mask["maskImageConfig"]["maskMode"] == "MASK_MODE_USER_PROVIDED"
    image = look_at_text(mask["referenceImage"]["bytesBase64Encoded"]).convert("L")
    white = [image.getpixel((x, y)) == 255 for y in range(48) for x in range(64)]
    assert white == [x < 16 for y in range(48) for x in range(64)]


def test_embeddings(calls: Calls) -> None:
    assert calls([*EMBEDDINGS]) == EMBEDDINGS
    assert [(row["input_items"], row["attempts"]) for row in calls.rows] == [
        (1, 1),
        (3, 1),
        (2, 1),
        (1, 1),
        (2, 2),
        (2, 2),
        (300, 2),
    ]


def test_responses(calls: Calls) -> None:
    assert calls([*RESPONSES]) == RESPONSES
    assert {row["operation"] for row in calls.rows} == {"responses"}
    assert sum(row["search_queries"] or 0 for row in calls.rows) == 1
    (refused,) = (row for row in calls.rows if row["state"] == "refused")
    assert refused["status"] == 400


def test_reasoning_goes_back_as_it_came(calls: Calls) -> None:
    calls(["respond_reasoning"])
    assert GEMINI_SIGNATURE in str(calls.sent("gemini")[1])
    assert CLAUDE_SIGNATURE in str(calls.sent("claude")[1])


def test_chat_with_claude(calls: Calls) -> None:
    assert calls([*CHAT]) == CHAT
    assert {row["publisher"] for row in calls.rows} == {"anthropic"}
    bodies = calls.sent("/publishers/anthropic/")
    assert {body["anthropic_version"] for body in bodies} == {"vertex-2023-10-16"}
    # One that streams, and one that streams with tools.
    assert [call.request.path.endswith(":streamRawPredict") for call in calls.seen].count(True) == 2


def test_videos(calls: Calls, proxy: Proxy, request: pytest.FixtureRequest) -> None:
    expected = VIDEOS | ({} if "node" in request.node.name else POLLED)
    assert calls([*expected]) == expected
    submissions = [row for row in proxy.rows("operation = 'videos'") if row["method"] == "POST"]
    seconds = [row["video_seconds"] for row in submissions]
    assert seconds == [8, 4, 0, 8][: len(expected)]
    assert {row["usage_state"] for row in submissions} == {"final"}
    assert {call.request.method for call in calls.seen} == {"POST"}


def test_what_there_is_none_of(calls: Calls) -> None:
    (answers,) = calls(["unsupported"]).values()
    assert len(answers) == 10
    assert {name for name, told in answers.items() if told not in (REFUSED, ["NotFoundError", True])} == set()
    assert {row["state"] for row in calls.rows} == {"refused"}
    assert calls.seen == []


CONFIG = """
services:
  prod: {{provider: vertex, auth: service_account, credentials: {key_file}, location: us-central1, openai: convert}}
routes:
  - {{service: prod}}
aliases: {{my-gemini-ft: "1234567890"}}
models: [gemini-2.5-flash, gemini-2.5-pro]
"""


@pytest.mark.parametrize("client", CLIENTS, ids=["python", "python-async", "node"])
def test_models(
    start_proxy: StartProxy,
    simulator: Simulator,
    key_file: Path,
    tmp_path: Path,
    run_client: RunClient,
    client: tuple[str, bool],
) -> None:
    """Those of the project, on two pages, and those of the configuration, each once."""
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(key_file=key_file))
    options = (f"gateway_config={config}", "gateway_base_path=/gemini")
    proxy = start_proxy(*options, mode=f"reverse:{simulator.url}", serve=True)
    before = len(simulator.seen)
    script, asynchronous = client
    asked = {"base_url": f"{proxy.url}/gemini/v1", "asynchronous": asynchronous, "calls": ["models", "model"]}
    answers = run_client(script, asked)
    # The one that is deployed by the number of its endpoint.
    assert {"gemini-2.5-flash", "gemini-2.5-pro", "1234567890", "78"} <= set(answers["models"])
    assert len(set(answers["models"])) == len(answers["models"])
    assert answers["model"] == ["gemini-2.5-flash", "model", ["NotFoundError", True]]
    rows, seen = recent(proxy, simulator, before)
    assert [call.request.query.get("pageToken") for call in seen][:2] == [None, ["page-1"]]
    assert {row["operation"] for row in rows} == {"models"}
    assert {row["usage_state"] for row in rows} == {"not_applicable"}
