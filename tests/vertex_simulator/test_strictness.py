"""The simulator takes what Google, Anthropic and OpenAI take, and refuses what they refuse."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Answer
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Request
from tests.vertex_simulator.background import Background
from tests.vertex_simulator.claude import SIGNATURE
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.embeddings import vector
from tests.vertex_simulator.gemini import SIGNATURE as GEMINIS
from tests.vertex_simulator.openai import openai_answer
from tests.vertex_simulator.pictures import look_at_text
from tests.vertex_simulator.pictures import png
from tests.vertex_simulator.veo import VIDEO
from tests.vertex_simulator.vertex import Vertex

PARENT = "/v1/projects/p/locations/us-central1"
CLAUDE = "claude-sonnet-4-5@20250929"
PAINTER = "gemini-3-pro-image-preview"
IMAGEN = "imagen-4.0-generate-001"
EDITOR = "imagen-3.0-capability-001"
VEO = "veo-3.0-generate-001"

Body = dict[str, Any]


@pytest.fixture
def vertex() -> Vertex:
    return Vertex(Credentials())


def ask(
    vertex: Vertex,
    path: str,
    body: Body | None = None,
    query: dict[str, list[str]] | None = None,
    plan: Body | None = None,
) -> Answer:
    """What Vertex answers; an error that it raises is one too."""
    headers = [(b"x-goog-api-key", b"AIzaSimulatedKey"), (b"x-simulator", json.dumps(plan or {}).encode())]
    method = "GET" if body is None else "POST"
    try:
        return vertex.answer(Request(method, PARENT + path, query or {}, headers, json.dumps(body).encode()))
    except Denied as e:
        return Answer.json({"error": {"message": e.message}}, e.status)


def told(answer: Answer) -> Any:
    return json.loads(b"".join(answer.pieces))


def google(model: str, action: str) -> str:
    return f"/publishers/google/models/{model}:{action}"


def encoded(image: Image.Image, kind: str = "PNG") -> str:
    data = BytesIO()
    image.save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


PICTURE = base64.b64encode(png(8, 8)).decode()
INLINE = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
WHITE = encoded(Image.new("L", (8, 8), 255))


def drawn(text: str = "a cat", *parts: Body, **config: Any) -> Body:
    return {"contents": [{"role": "user", "parts": [*parts, {"text": text}]}], "generationConfig": config}


def shaped(**config: Any) -> Body:
    return drawn(imageConfig=config)


def predicted(prompt: str = "a cat", references: list[Body] | None = None, **parameters: Any) -> Body:
    instance: Body = {"prompt": prompt} | ({"referenceImages": references} if references is not None else {})
    return {"instances": [instance], "parameters": parameters}


def reference(kind: str, number: int, data: str = PICTURE, **more: Any) -> Body:
    image = {"bytesBase64Encoded": data, "mimeType": "image/png"}
    return {"referenceType": f"REFERENCE_TYPE_{kind}", "referenceId": number, "referenceImage": image, **more}


def masked(data: str, mode: str = "EDIT_MODE_INPAINT_INSERTION") -> Body:
    config = {"maskMode": "MASK_MODE_USER_PROVIDED", "dilation": 0.01}
    return predicted("a hat", [reference("RAW", 1), reference("MASK", 2, data, maskImageConfig=config)], editMode=mode)


def embedded(*texts: str, **parameters: Any) -> Body:
    return {"instances": [{"content": text} for text in texts], "parameters": parameters}


GOOGLE: list[tuple[str, str, Body, int]] = [
    # Gemini's image models
    (PAINTER, "generateContent", drawn(responseModalities=["TEXT", "IMAGE"]), 200),
    (PAINTER, "generateContent", drawn("paint it", INLINE), 200),
    (PAINTER, "generateContent", drawn("paint it", {"inlineData": {"mimeType": "image/png", "data": "aGk="}}), 400),
    (PAINTER, "generateContent", drawn("paint it", {"inlineData": {"mimeType": "image/jpeg", "data": PICTURE}}), 400),
    (PAINTER, "generateContent", shaped(aspectRatio="21:9", imageSize="2K"), 200),
    (PAINTER, "generateContent", shaped(imageSize="2k"), 400),
    (PAINTER, "generateContent", shaped(aspectRatio="7:5"), 400),
    (PAINTER, "generateContent", drawn(candidateCount=2), 400),
    (PAINTER, "generateContent", drawn(responseModalities=["TEXT"]), 400),
    ("gemini-2.5-flash-image", "generateContent", shaped(aspectRatio="3:2"), 200),
    ("gemini-2.5-flash-image", "generateContent", shaped(imageSize="1K"), 400),
    # Imagen
    (IMAGEN, "predict", predicted(sampleCount=4, aspectRatio="16:9", sampleImageSize="2K"), 200),
    (IMAGEN, "predict", predicted(outputOptions={"mimeType": "image/jpeg", "compressionQuality": 80}), 200),
    (IMAGEN, "predict", predicted(seed=7, addWatermark=False), 200),
    (IMAGEN, "predict", predicted(sampleCount=5), 400),
    (IMAGEN, "predict", predicted(aspectRatio="3:2"), 400),
    (IMAGEN, "predict", predicted(sampleImageSize="4K"), 400),
    (IMAGEN, "predict", predicted(imageSize="1K"), 400),
    (IMAGEN, "predict", predicted(outputOptions={"mimeType": "image/webp"}), 400),
    (IMAGEN, "predict", predicted(seed=7), 400),
    (IMAGEN, "predict", predicted(""), 400),
    (IMAGEN, "predict", predicted(references=[reference("RAW", 1)]), 400),
    (EDITOR, "predict", predicted(references=[reference("RAW", 1)]), 200),
    (EDITOR, "predict", predicted(references=[reference("RAW", 1, "aGk=")]), 400),
    (EDITOR, "predict", predicted(references=[reference("RAW", 1), reference("RAW", 2)]), 400),
    (EDITOR, "predict", predicted(references=[reference("RAW", 1)], editMode="EDIT_MODE_OUTPAINT"), 400),
    (EDITOR, "predict", predicted(references=[reference("RAW", 1)], editMode="inpainting"), 400),
    (EDITOR, "predict", masked(WHITE), 200),
    (EDITOR, "predict", masked(encoded(Image.new("1", (8, 8), 0))), 200),
    (EDITOR, "predict", masked(encoded(Image.new("L", (8, 8), 127))), 400),
    (EDITOR, "predict", masked(encoded(Image.new("RGBA", (8, 8), (255, 255, 255, 255)))), 400),
    (EDITOR, "predict", masked(encoded(Image.new("L", (9, 8), 255))), 400),
    # Embeddings
    ("text-embedding-005", "predict", embedded(*["x"] * 250, outputDimensionality=64), 200),
    ("text-embedding-005", "predict", embedded(*["x"] * 251), 400),
    ("text-embedding-005", "predict", embedded("x", outputDimensionality=769), 400),
    ("text-embedding-005", "predict", embedded(""), 400),
    ("text-embedding-005", "predict", {"instances": [{"content": "x", "task_type": ""}]}, 400),
    ("text-embedding-005", "predict", {"instances": [{"content": "x", "title": "y"}]}, 400),
    ("gemini-embedding-001", "predict", embedded("x"), 200),
    ("gemini-embedding-001", "predict", embedded("x", "y"), 400),
    ("gemini-embedding-2-preview", "predict", embedded("x"), 400),
    ("gemini-embedding-2-preview", "embedContent", {"content": {"parts": [{"text": "x"}]}}, 200),
    ("text-embedding-005", "embedContent", {"content": {"parts": [{"text": "x"}]}}, 400),
    # Veo
    (VEO, "predictLongRunning", predicted(durationSeconds=8, aspectRatio="9:16", resolution="1080p"), 200),
    (VEO, "predictLongRunning", predicted(durationSeconds=5), 400),
    (VEO, "predictLongRunning", predicted(durationSeconds="8"), 400),
    (VEO, "predictLongRunning", predicted(aspectRatio="1:1"), 400),
    (VEO, "predictLongRunning", predicted(size="1280x720"), 400),
    (VEO, "predictLongRunning", {"instances": [{"prompt": "x", "image": {"bytesBase64Encoded": PICTURE}}]}, 400),
    (VEO, "predictLongRunning", {"instances": [{"prompt": "x", "image": reference("RAW", 1)["referenceImage"]}]}, 200),
]


@pytest.mark.parametrize(("model", "action", "body", "status"), GOOGLE)
def test_google(vertex: Vertex, model: str, action: str, body: Body, status: int) -> None:
    answer = ask(vertex, google(model, action), body)
    assert answer.status == status, answer.pieces


def test_an_image_model_sketches_first(vertex: Vertex) -> None:
    answer = ask(vertex, google(PAINTER, "generateContent"), shaped(aspectRatio="16:9", imageSize="2K"))
    parts = told(answer)["candidates"][0]["content"]["parts"]
    assert ["thought" in part for part in parts] == [True, True, False, False]
    assert look_at_text(parts[3]["inlineData"]["data"]).size == (2752, 1536)
    assert answer.reported["images"] == 1


@pytest.mark.parametrize(("word", "reason"), [("forbidden", "IMAGE_SAFETY"), ("impossible", "NO_IMAGE")])
def test_an_image_model_refuses(vertex: Vertex, word: str, reason: str) -> None:
    (candidate,) = told(ask(vertex, google(PAINTER, "generateContent"), drawn(f"a {word} cat")))["candidates"]
    assert candidate["finishReason"] == reason
    assert candidate.keys() == {"finishReason", "finishMessage"}


@pytest.mark.parametrize("with_reason", [True, False])
def test_imagen_refuses(vertex: Vertex, with_reason: bool) -> None:
    answer = ask(vertex, google(IMAGEN, "predict"), predicted("a forbidden cat", includeRaiReason=with_reason))
    assert [[*prediction] for prediction in told(answer).get("predictions", [])] == [
        ["raiFilteredReason"]
    ] * with_reason
    assert answer.reported == {"images": 0}


def test_vectors_are_of_their_texts(vertex: Vertex) -> None:
    body = embedded("one", "two", outputDimensionality=3)
    predictions = told(ask(vertex, google("text-embedding-005", "predict"), body))["predictions"]
    assert [one["embeddings"]["values"] for one in predictions] == [vector("one", 3), vector("two", 3)]
    assert vector("one", 3) != vector("two", 3)


def test_a_video_is_done_at_the_second_poll(vertex: Vertex) -> None:
    name = told(ask(vertex, google(VEO, "predictLongRunning"), predicted()))["name"]
    first, second = (told(ask(vertex, google(VEO, "fetchPredictOperation"), {"operationName": name})) for _ in "12")
    assert "done" not in first
    (video,) = second["response"]["videos"]
    assert base64.b64decode(video["bytesBase64Encoded"]) == VIDEO
    of_another = ask(vertex, google("veo-2.0-generate-001", "fetchPredictOperation"), {"operationName": name})
    assert of_another.status == 400


def test_models_come_on_two_pages(vertex: Vertex) -> None:
    first = told(ask(vertex, "/models"))
    second = told(ask(vertex, "/models", query={"pageToken": [first["nextPageToken"]]}))
    assert "deployedModels" in first["models"][0]
    assert "nextPageToken" not in second
    assert first["models"][0]["name"] != second["models"][0]["name"]
    assert ask(vertex, "/models", query={"pageToken": ["x"]}).status == 400


# Gemini's conversations, by the model

OLDEST, OLDER, NEWER = "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-3.8-flash"
USER: Body = {"role": "user", "parts": [{"text": "Hello"}]}
MODEL_SAYS: Body = {"role": "model", "parts": [{"text": "Hi"}]}
DECLARED = [{"functionDeclarations": [{"name": "f"}]}]


def calling(*ids: str | None, name: str = "f", signed: bool = True) -> Body:
    parts: list[Body] = [{"functionCall": {"name": name, "args": {}} | ({"id": id} if id else {})} for id in ids]
    return {"role": "model", "parts": [parts[0] | ({"thoughtSignature": GEMINIS} if signed else {}), *parts[1:]]}


def answering(*ids: str | None, beside: tuple[Body, ...] = (), **more: Any) -> Body:
    responses = [{"name": "f", "response": {}} | ({"id": id} if id else {}) | more for id in ids]
    return {"role": "user", "parts": [*({"functionResponse": one} for one in responses), *beside]}


def talk(*contents: Body, **more: Any) -> Body:
    return {"contents": [*contents], **more}


def set_to(**config: Any) -> Body:
    return talk(USER, generationConfig=config)


def speaking(voice: str) -> dict[str, Any]:
    return {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}}


def picture_in_result(mime_type: str) -> Body:
    part = {"inlineData": {"mimeType": mime_type, "data": PICTURE}}
    return talk(USER, calling("1"), answering("1", parts=[part]))


TALKS: list[tuple[str, Body, str | None]] = [
    # Who has the first and the last word
    (OLDER, talk(USER, MODEL_SAYS), None),
    ("gemini-3.5-flash", talk(USER, MODEL_SAYS), None),
    ("gemini-3.5-flash-lite", talk(USER, MODEL_SAYS), "ending with a model turn"),
    ("gemini-3.6-flash", talk(USER, MODEL_SAYS), "ending with a model turn"),
    (NEWER, talk(USER, MODEL_SAYS), "ending with a model turn"),
    (NEWER, talk(USER, MODEL_SAYS, USER), None),
    (OLDEST, talk(calling(None), answering(None)), "function call turn comes immediately after a user turn"),
    (NEWER, talk(calling("1"), answering("1")), "function call turn comes immediately after a user turn"),
    (NEWER, talk(USER, MODEL_SAYS, calling("1"), answering("1")), "function call turn comes immediately"),
    (NEWER, talk(answering("1")), "function response turn comes immediately after"),
    (NEWER, talk(USER, calling("1"), USER, answering("1")), "number of function response parts"),
    # Results
    (OLDEST, talk(USER, calling(None), answering(None)), None),
    (OLDEST, talk(USER, calling("1"), answering("1")), "Unknown name"),
    (NEWER, talk(USER, calling("1", "2"), answering("1", "2")), None),
    (NEWER, talk(USER, calling("1", "2"), answering("1")), "number of function response parts"),
    (NEWER, talk(USER, calling("1"), answering("2")), "does not match"),
    (NEWER, talk(USER, calling("1"), answering("1", beside=({"text": "x"},))), "ending with a model turn"),
    (OLDEST, talk(USER, calling(None), answering(None, beside=({"text": "x"},))), "number of function response"),
    (NEWER, talk(USER, calling("1"), answering("1"), USER), None),
    (NEWER, talk(USER, calling("1", signed=False), answering("1")), "thought_signature"),
    (NEWER, picture_in_result("image/png"), None),
    (NEWER, picture_in_result("video/mp4"), "video/mp4"),
    (OLDEST, talk(USER, calling(None), answering(None, parts=[INLINE])), "image/png"),
    # Names
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "21st"}]}]), "Invalid function name"),
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "a b"}]}]), "Invalid function name"),
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "ä"}]}]), "Invalid function name"),
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "a" * 65}]}]), "Invalid function name"),
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "_a.b:c-" + "9" * 57}]}]), None),
    (NEWER, talk(USER, tools=[{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]), "Duplicate"),
    (NEWER, talk(USER, calling("1", name="2nd"), answering("1")), "Invalid function name"),
    (
        NEWER,
        talk(
            USER,
            tools=DECLARED,
            toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["2nd"]}},
        ),
        "Invalid function name",
    ),
    # Settings
    (NEWER, set_to(thinkingConfig={"thinkingLevel": "MINIMAL"}), "thinking_level"),
    (NEWER, set_to(thinkingConfig={"thinkingLevel": "LOW"}), None),
    ("gemini-3.6-flash", set_to(thinkingConfig={"thinkingLevel": "MINIMAL"}), None),
    ("gemini-3-pro-preview", set_to(thinkingConfig={"thinkingLevel": "MEDIUM"}), "thinking_level"),
    (OLDEST, set_to(thinkingConfig={"thinkingLevel": "LOW"}), "thinking_level"),
    (NEWER, set_to(thinkingConfig={"thinkingLevel": "LOW", "thinkingBudget": 1}), "thinking_level"),
    (NEWER, set_to(thinkingConfig={"thinkingBudget": 1}), None),
    (OLDEST, set_to(thinkingConfig={"thinkingBudget": 0}), None),
    (OLDEST, set_to(thinkingConfig={"thinkingBudget": 24577}), "thinking_budget"),
    ("gemini-2.5-flash-lite", set_to(thinkingConfig={"thinkingBudget": 511}), "thinking_budget"),
    ("gemini-2.5-pro", set_to(thinkingConfig={"thinkingBudget": 0}), "thinking_budget"),
    ("gemini-2.5-pro", set_to(thinkingConfig={"thinkingBudget": -1}), None),
    ("gemini-2.0-flash", set_to(thinkingConfig={"includeThoughts": True}), "Thinking is not supported"),
    (OLDEST, set_to(presencePenalty=0.5), None),
    (OLDER, set_to(presencePenalty=0.5), "Penalty"),
    (NEWER, set_to(frequencyPenalty=-0.5), "Penalty"),
    (NEWER, set_to(frequencyPenalty=0), None),
    (OLDEST, set_to(responseLogprobs=True), None),
    (NEWER, set_to(responseLogprobs=True), "Logprobs"),
    (NEWER, set_to(responseMimeType="application/json") | {"tools": DECLARED}, None),
    (OLDEST, set_to(responseMimeType="application/json") | {"tools": DECLARED}, "Function calling with"),
    (OLDEST, set_to(responseMimeType="application/json") | {"tools": [{"googleSearch": {}}]}, "Tool use with"),
    (OLDEST, talk(USER, tools=[*DECLARED, {"googleSearch": {}}]), "Multiple tools"),
    (NEWER, talk(USER, tools=[*DECLARED, {"googleSearch": {}}]), None),
    (OLDEST, set_to(responseModalities=["TEXT", "AUDIO"]), "response modalities (AUDIO, TEXT)"),
    (NEWER, set_to(responseModalities=["TEXT", "IMAGE"]), "response modalities (IMAGE, TEXT)"),
    ("gemini-2.5-flash-preview-tts", set_to(responseModalities=["TEXT", "AUDIO"]), "response modalities"),
    ("gemini-2.5-flash-preview-tts", set_to(), "response modalities (TEXT)"),
    ("gemini-2.5-flash-preview-tts", set_to(responseModalities=["AUDIO"]), None),
    (
        "gemini-2.5-flash-preview-tts",
        set_to(responseModalities=["AUDIO"]) | {"systemInstruction": USER},
        "Developer instruction",
    ),
    ("gemini-2.5-flash-preview-tts", set_to(responseModalities=["AUDIO"], **speaking("Kore")), None),
    ("gemini-2.5-flash-preview-tts", set_to(responseModalities=["AUDIO"], **speaking("alloy")), "Voice name alloy"),
    ("gemini-2.5-flash-preview-tts", set_to(responseModalities=["AUDIO"], temperature=0.5), None),
    ("gemini-3.8-flash-tts", set_to(responseModalities=["AUDIO"], topP=0.5), "Sampling"),
    ("gemini-2.5-flash-image", talk(USER, tools=DECLARED), "Function calling is not enabled"),
    ("gemini-2.5-flash-image", set_to(responseMimeType="application/json"), "JSON mode"),
]


@pytest.mark.parametrize(("model", "body", "wrong"), TALKS)
def test_gemini(vertex: Vertex, model: str, body: Body, wrong: str | None) -> None:
    answer = ask(vertex, google(model, "generateContent"), body)
    assert answer.status == (400 if wrong else 200), answer.pieces
    if wrong:
        assert wrong in told(answer)["error"]["message"]


@pytest.mark.parametrize("words", [0, 4])
@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent"])
def test_gemini_gives_no_answer(vertex: Vertex, action: str, words: int) -> None:
    plan = {"finish": "MALFORMED_FUNCTION_CALL", "words": words}
    answer = ask(vertex, google(NEWER, action), talk(USER), plan=plan)
    last = told(answer)
    (candidate,) = (last[-1] if isinstance(last, list) else last)["candidates"]
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert candidate["finishMessage"] == "Simulated: MALFORMED_FUNCTION_CALL."
    assert ("content" in candidate) == (action == "generateContent" and words > 0)


# Claude

ASKED = {"role": "user", "content": "Hello"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "fine"}
THOUGHT = {"type": "thinking", "thinking": "Let me think.", "signature": SIGNATURE}
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
THINKING: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}


def said(*messages: Body, **more: Any) -> Body:
    return {"anthropic_version": "vertex-2023-10-16", "max_tokens": 100, "messages": [*messages], **more}


def round_of(*blocks: Body, results: tuple[Body, ...] = (RESULT,), **more: Any) -> Body:
    answered = [{"role": "assistant", "content": [*blocks]}, {"role": "user", "content": [*results]}]
    return said(ASKED, *answered, tools=[TOOL], **more)


MESSAGES: list[tuple[Body, str | None]] = [
    (said(ASKED), None),
    (said(ASKED, system="Be brief.", temperature=0.5, stop_sequences=["x"], metadata={"user_id": "u"}), None),
    (said(ASKED) | {"anthropic_version": "vertex-2024-01-01"}, "anthropic_version"),
    ({"max_tokens": 1, "messages": [ASKED]}, "anthropic_version"),
    (said(ASKED, model=CLAUDE), "model"),
    (said(ASKED, frequency_penalty=1), "frequency_penalty"),
    (said(ASKED) | {"max_tokens": None}, "max_tokens"),
    (said(ASKED, stream=True), "stream"),
    (said(ASKED, temperature=1.5), "temperature"),
    (said(ASKED, temperature=0.5, top_p=0.5), "top_p"),
    (said(), "messages"),
    (said(ASKED, ASKED), "alternate"),
    (said({"role": "assistant", "content": "Hi"}), "first message"),
    (said({"role": "system", "content": "Hi"}), "role"),
    (said({"role": "user", "content": ""}), "non-empty"),
    (said({"role": "user", "content": [{"type": "text", "text": " "}]}), "non-empty"),
    (said(ASKED, system=""), "system"),
    (round_of(CALL), None),
    (round_of(CALL | {"id": "call 1"}, results=(RESULT | {"tool_use_id": "call 1"},)), "pattern"),
    (round_of(CALL, results=({"type": "text", "text": "fine"},)), "tool_result"),
    (round_of(CALL, results=({"type": "text", "text": "fine"}, RESULT)), "come first"),
    (round_of(CALL, CALL | {"id": "toolu_2"}), "tool_result"),
    (said(ASKED, tool_choice={"type": "auto"}), "tool_choice"),
    (said(ASKED, tools=[{"name": "weather", "parameters": {}}]), "tools.0"),
    (said(ASKED, **THINKING | {"thinking": {"type": "enabled", "budget_tokens": 1023}}), "1024"),
    (said(ASKED, **THINKING | {"max_tokens": 1024}), "max_tokens"),
    (said(ASKED, **THINKING), None),
    (said(ASKED, **THINKING, temperature=0.5), "temperature"),
    (said(ASKED, **THINKING, tools=[TOOL], tool_choice={"type": "any"}), "tool_choice"),
    (round_of(THOUGHT, CALL, **THINKING), None),
    (round_of(CALL, **THINKING), "thinking"),
    (round_of(THOUGHT | {"signature": "eA=="}, CALL, **THINKING), "signature"),
]


@pytest.mark.parametrize(("body", "wrong"), MESSAGES)
def test_claude(vertex: Vertex, body: Body, wrong: str | None) -> None:
    answer = ask(vertex, f"/publishers/anthropic/models/{CLAUDE}:rawPredict", body)
    assert answer.status == (400 if wrong else 200), answer.pieces
    if wrong:
        assert told(answer)["error"]["type"] == "invalid_request_error"
        assert wrong in told(answer)["error"]["message"]


def test_claudes_stream_has_events_of_all_kinds(vertex: Vertex) -> None:
    body = said(ASKED, **THINKING, tools=[TOOL], stream=True)
    answer = ask(vertex, f"/publishers/anthropic/models/{CLAUDE}:streamRawPredict", body)
    events = [json.loads(piece.partition(b"data: ")[2]) for piece in answer.pieces]
    assert {event["type"] for event in events} == {
        "message_start",
        "ping",
        "vertex_event",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert {delta["type"] for delta in deltas} == {"thinking_delta", "signature_delta", "input_json_delta"}
    written = "".join(delta.get("partial_json", "") for delta in deltas)
    assert json.loads(written) == {"city": "Paris"}


def test_claude_compacts_only_with_its_beta(vertex: Vertex) -> None:
    edits = {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}]}
    path, body = f"/publishers/anthropic/models/{CLAUDE}:rawPredict", said(ASKED, context_management=edits)
    assert ask(vertex, path, body).status == 400
    assert ask(vertex, path, body | {"anthropic_beta": ["compact-2026-01-12"]}).status == 200


# OpenAI


def test_responses_in_the_background_are_stored() -> None:
    body = {"model": "gpt-5", "input": "x", "background": True}
    assert ask_openai("responses", body).status == 200
    assert ask_openai("responses", body | {"store": False}).status == 400


def ask_openai(path: str, body: Body | bytes, content_type: str = "application/json") -> Answer:
    headers = [(b"authorization", f"Bearer {OPENAI_KEY}".encode()), (b"content-type", content_type.encode())]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return openai_answer(Request("POST", f"/v1/{path}", {}, headers, data), Background())


def chat(*messages: Body, model: str = "gpt-4o", **more: Any) -> Body:
    return {"model": model, "messages": [*(messages or (ASKED,))], **more}


CALLED = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "fine"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALLED]}
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
UPPER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "OBJECT"}}}
BRANCHES = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "anyOf": [{}]}}}
OPENAI: list[tuple[str, Body, str | None]] = [
    ("chat/completions", chat(), None),
    ("chat/completions", chat(tools=[FUNCTION], tool_choice="auto", seed=1, stop=["x"]), None),
    ("chat/completions", chat(ASKED, CALLING, ANSWERED, tools=[FUNCTION]), None),
    ("chat/completions", chat(safety_settings=[]), "safety_settings"),
    ("chat/completions", chat(stream_options={"include_usage": True}), "stream_options"),
    ("chat/completions", chat({"role": "model", "content": "Hi"}), "messages[0].role"),
    ("chat/completions", chat({"role": "user", "content": None}), "messages[0].content"),
    ("chat/completions", chat({"role": "user", "content": [{"text": "Hi"}]}), "messages[0].content[0].type"),
    ("chat/completions", chat(ASKED, ANSWERED), "messages[1].role"),
    ("chat/completions", chat(ASKED, CALLING, ASKED), "messages[2].role"),
    ("chat/completions", chat(ASKED, CALLING), "messages"),
    (
        "chat/completions",
        chat(ASKED, CALLING | {"tool_calls": [CALLED | {"id": "c" * 41}]}, ANSWERED | {"tool_call_id": "c" * 41}),
        "messages[1].tool_calls[0].id",
    ),
    ("chat/completions", chat(tools=[]), "tools"),
    ("chat/completions", chat(tools=[UPPER]), "tools[0].function.parameters"),
    ("chat/completions", chat(tools=[BRANCHES]), "tools[0].function.parameters"),
    ("chat/completions", chat(tool_choice="auto"), "tool_choice"),
    ("chat/completions", chat(model="gpt-5", max_tokens=5), "max_tokens"),
    ("chat/completions", chat(model="gpt-5", max_completion_tokens=5), None),
    ("chat/completions", chat(model="gpt-5", temperature=0.5), "temperature"),
    (
        "chat/completions",
        chat(response_format={"type": "json_schema", "json_schema": {}}),
        "response_format.json_schema.name",
    ),
    ("images/generations", {"model": "gpt-image-1", "prompt": "a cat", "size": "1536x1024", "quality": "high"}, None),
    (
        "images/generations",
        {"model": "gpt-image-1", "prompt": "a cat", "response_format": "b64_json"},
        "response_format",
    ),
    ("images/generations", {"model": "gpt-image-1", "prompt": "a cat", "size": "2048x2048"}, "size"),
    ("images/generations", {"model": "gpt-image-1", "prompt": "a cat", "quality": "hd"}, "quality"),
    ("images/generations", {"model": "gpt-image-1", "prompt": "a cat", "n": 11}, "n"),
    ("images/generations", {"model": "gpt-image-2", "prompt": "a cat", "size": "2048x2048"}, None),
    ("images/generations", {"model": "gpt-image-2", "prompt": "a cat", "size": "1920x1080"}, "size"),
    ("images/generations", {"model": "gpt-image-2", "prompt": "a cat", "output_compression": 50}, "output_compression"),
]


@pytest.mark.parametrize(("path", "body", "param"), OPENAI)
def test_openai(path: str, body: Body, param: str | None) -> None:
    answer = ask_openai(path, body)
    assert answer.status == (400 if param else 200), answer.pieces
    if param:
        assert told(answer)["error"]["param"] == param
        assert told(answer)["error"].keys() == {"message", "type", "param", "code"}


def form(*parts: tuple[str, str | bytes]) -> bytes:
    def part(name: str, value: str | bytes) -> Iterator[bytes]:
        file = b'; filename="a.png"\r\nContent-Type: image/png' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        yield (
            b'--B\r\nContent-Disposition: form-data; name="'
            + name.encode()
            + b'"'
            + file
            + b"\r\n\r\n"
            + data
            + b"\r\n"
        )

    return b"".join(piece for name, value in parts for piece in part(name, value)) + b"--B--\r\n"


MODEL, PROMPT, PNG = ("model", "gpt-image-1"), ("prompt", "a cat"), png(8, 8)
HOLE = base64.b64decode(encoded(Image.new("RGBA", (8, 8))))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(MODEL, PROMPT, ("image", PNG)), None),
        (form(MODEL, PROMPT, ("n", "2"), ("image[]", PNG), ("image[]", PNG), ("mask", HOLE)), None),
        (form(MODEL, PROMPT), "image"),
        (form(MODEL, ("image", PNG)), "prompt"),
        (form(MODEL, PROMPT, ("image", PNG), ("image", PNG)), "image"),
        (form(MODEL, PROMPT, ("image", b"png")), "image"),
        (form(MODEL, PROMPT, ("image", PNG), ("mask", PNG)), "mask"),
        (form(MODEL, PROMPT, ("image", png(9, 9)), ("mask", HOLE)), "mask"),
        (form(MODEL, PROMPT, ("image", PNG), ("n", "two")), "n"),
        (form(MODEL, PROMPT, ("image", PNG), ("response_format", "b64_json")), "response_format"),
        (form(MODEL, PROMPT, ("image", PNG))[:-6], None),
    ],
)
def test_edits(body: bytes, param: str | None) -> None:
    answer = ask_openai("images/edits", body, "multipart/form-data; boundary=B")
    is_whole = body.endswith(b"--B--\r\n")
    assert answer.status == (200 if is_whole and not param else 400), answer.pieces
    if not is_whole or param:
        assert told(answer)["error"]["param"] == param


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_a_prompt_says_what_is_called(vertex: Vertex, model: str) -> None:
    """The functions that a prompt names are called in turn; then the answer is text. Each answer has its own id."""
    commands = [["ls"], ["pwd", "id"], []]
    lines = ['call run {"cmd": "ls"}', 'call run {"cmd": "pwd"}', 'and run {"cmd": "id"}']
    text = "\n".join(f"simulator: {line}" for line in lines)
    contents: list[Body] = [{"role": "user", "parts": [{"text": text}]}]
    tools = [{"functionDeclarations": [{"name": "default_api_run"}]}]
    ids, turns = set(), []
    for _ in commands:
        answer = told(ask(vertex, google(model, "generateContent"), {"contents": contents, "tools": tools}))
        ids.add(answer["responseId"])
        content = answer["candidates"][0]["content"]
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        turns.append([call["args"]["cmd"] for call in calls])
        results = [{"functionResponse": {"name": call["name"], "response": {"output": "."}}} for call in calls]
        contents += [content, {"role": "user", "parts": results}]
    assert (turns, len(ids), "text" in content["parts"][0]) == (commands, 3, True)
    other = {"contents": contents[:1], "tools": [{"functionDeclarations": [{"name": "walk"}]}]}
    assert ask(vertex, google(model, "generateContent"), other).status == 400
