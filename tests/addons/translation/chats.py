"""OpenAI chat requests, as hypothesis makes them: what clients send, and what they nearly send.

`chats` are valid and must be converted. `half_valid` are chats with something wrong in them somewhere: they must be
converted into what Google takes, or refused. The body of a request is held against Google's schema by `check`.
"""

import base64
import copy
import json
from typing import Any

from hypothesis import strategies as st
from pydantic_core import from_json
from pydantic_core import to_json

from tests.metering.test_json_array import json_values
from tests.vertex_simulator.schema import check_request

Json = dict[str, Any]

MODELS = (
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-flash-image",
    "gemini-2.5-pro",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "4611686018427387904",
)
PATH = "/v1/projects/p/locations/l/publishers/google/models/m:generateContent"


def check(body: Json) -> None:
    """Raises what is wrong with a body for Gemini."""
    sent = from_json(to_json(body), allow_inf_nan=False)
    check_request("POST", PATH, sent)
    assert sent["contents"]
    owed: list[str] = []
    for content in sent["contents"]:
        assert content["parts"], "a content without parts"
        assert content["role"] in ("user", "model")
        answered = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        assert answered == owed, "calls and their results differ"
        assert not answered or len(answered) == len(content["parts"]), "results do not stand alone"
        owed = [part["functionCall"]["name"] for part in content["parts"] if "functionCall" in part]
        assert all(part.keys() - {"thoughtSignature"} for part in content["parts"]), "a part of nothing"
    config = sent.get("generationConfig", {})
    assert "logprobs" not in config or config["responseLogprobs"]
    assert "responseJsonSchema" not in config or config["responseMimeType"] == "application/json"
    assert not {"thinkingBudget", "thinkingLevel"} <= config.get("thinkingConfig", {}).keys()
    assert "toolConfig" not in sent or any("functionDeclarations" in tool for tool in sent["tools"])


NOTHING: st.SearchStrategy[Json] = st.builds(dict)


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=members)


def exactly(more: st.SearchStrategy[Json] = NOTHING, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(lambda one, other: {**one, **other}, st.fixed_dictionaries(members), more)


def is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


values = json_values.filter(is_json)
words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
encoded = st.binary(min_size=1, max_size=30).map(lambda raw: base64.b64encode(raw).decode())
urls = (
    encoded.map(lambda data: f"data:image/png;base64,{data}")
    | encoded.map(lambda data: f"data:video/mp4;base64,{data}")
    | st.sampled_from(["https://h/a.png?x=1", "http://h/a.webp", "gs://b/o.mp4", "gs://b/o.pdf"])
)

schemas: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | exactly(
        maybe(description=words, enum=st.lists(words, min_size=1, max_size=3)),
        type=st.sampled_from(["string", "integer", ["string", "null"]]),
    )
    | exactly(const=values)
    | exactly(maybe(description=words, title=words), **{"$ref": st.sampled_from(["#", "#/$defs/a"])}),
    lambda inner: (
        exactly(
            maybe(
                required=st.lists(names, max_size=2),
                additionalProperties=inner,
                title=words,
                **{"$defs": st.dictionaries(names, inner, max_size=2)},
            ),
            type=st.just("object"),
            properties=st.dictionaries(names | st.sampled_from(["const", "items"]), inner, max_size=3),
        )
        | exactly(type=st.just("array"), items=inner)
        | exactly(maybe(description=words), anyOf=st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=3)
object_schemas = schemas.filter(lambda schema: isinstance(schema, dict))

cached = maybe(cache_control=exactly(maybe(ttl=st.sampled_from(["5m", "1h"])), type=st.just("ephemeral")))
texts = exactly(cached, type=st.just("text"), text=st.text(max_size=12))
clips = maybe(fps=st.floats(0.1, 24), start_offset=st.just("1s"), endOffset=st.just("2.5s"))
details = st.sampled_from(["auto", "low", "medium", "high", "ultra_high"])
media = (
    exactly(type=st.just("image_url"), image_url=exactly(maybe(detail=details), url=urls) | urls)
    | exactly(type=st.just("image_url"), image_url=exactly(url=st.just("https://h/unknown")))
    | exactly(maybe(video_metadata=clips), type=st.just("video_url"), video_url=exactly(url=urls))
    | exactly(
        type=st.just("input_audio"), input_audio=exactly(data=encoded, format=st.sampled_from(["wav", "mp3", "mp4"]))
    )
    | exactly(cached, type=st.just("file"), file=exactly(maybe(filename=st.just("a.csv")), file_data=encoded))
    | exactly(type=st.just("file"), file=exactly(file_id=st.just("gs://b/o"), format=st.just("application/pdf")))
)
contents = st.text(max_size=20) | st.lists(texts | media, max_size=3)
instructions = st.text(max_size=20) | st.lists(texts, max_size=2)
results = (
    contents
    | objects.map(json.dumps)
    | values.map(json.dumps)
    | st.sampled_from(['{"a": {"$ref": "#/x"}}', "{", '{"a": NaN}'])
)

extra_contents = exactly(extra_content=exactly(google=exactly(thought_signature=encoded)))
calls = exactly(
    NOTHING | extra_contents | cached,
    type=st.just("function"),
    function=exactly(name=names, arguments=objects.map(json.dumps) | st.sampled_from(["", " ", "{}"])),
)


@st.composite
def rounds(draw: st.DrawFn) -> list[Json]:
    """Calls in parallel, and their results in any order."""
    called = draw(st.lists(calls, min_size=1, max_size=3))
    for number, call in enumerate(called):
        call["id"] = f"call_{number}" + draw(st.just("") | encoded.map(lambda signature: f"__thought__{signature}"))
    order = draw(st.permutations(called))
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": draw(results), **draw(cached)} for call in order]
    return [{"role": "assistant", "content": draw(st.none() | contents), "tool_calls": called}, *answers]


@st.composite
def legacy_rounds(draw: st.DrawFn) -> list[Json]:
    name = draw(names)
    return [
        {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}},
        {"role": "function", "name": name, "content": draw(st.text(max_size=9))},
    ]


users = exactly(cached, role=st.just("user"), content=contents)
conversations = st.builds(
    lambda first, more: [first, *(message for part in more for message in part)],
    exactly(role=st.just("user"), content=words),
    st.lists(
        st.lists(
            users
            | exactly(cached, role=st.sampled_from(["system", "developer"]), content=instructions)
            | exactly(extra_contents | maybe(refusal=words), role=st.just("assistant"), content=st.none() | contents),
            min_size=1,
            max_size=1,
        )
        | rounds()
        | legacy_rounds(),
        max_size=4,
    ),
)

functions = exactly(
    maybe(description=st.text(max_size=9), parameters=object_schemas, strict=st.booleans()), name=st.just("")
)
server_tools = st.sampled_from([{"type": "web_search"}, {"googleSearch": {}}, {"type": "code_interpreter"}])


def is_possible(body: Json) -> bool:
    """Whether the model can do what a request wants: models of images cannot be made to call a function."""
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return "image" not in body["model"] or kind in (None, "none", "auto", "allowed_tools")


@st.composite
def toolboxes(draw: st.DrawFn) -> Json:
    """Functions, tools of the server, and a choice among them."""
    definitions = draw(st.lists(functions, max_size=3))
    for number, definition in enumerate(definitions):
        definition["name"] = f"f{number}"
    tools: list[Json] = [{"type": "function", "function": one, **draw(cached)} for one in definitions]
    named = [{"type": "function", "function": {"name": definition["name"]}} for definition in definitions]
    choices: list[Any] = [None, "none", "auto", "required", *named]
    choices += [{"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}}]
    return {"tools": tools + draw(st.lists(server_tools, max_size=2)), "tool_choice": draw(st.sampled_from(choices))}


google = maybe(
    thinking_config=maybe(include_thoughts=st.booleans(), thinkingBudget=st.integers(-1, 9999))
    | exactly(thinking_level=st.sampled_from(["low", "HIGH"])),
    safetySettings=st.lists(
        exactly(category=st.just("HARM_CATEGORY_HARASSMENT"), threshold=st.sampled_from(["OFF", "BLOCK_NONE"])),
        max_size=2,
    ),
    cached_content=st.just("projects/p/locations/l/cachedContents/1"),
    imageConfig=maybe(aspect_ratio=st.just("16:9")),
    labels=st.just({"team": "a-1"}),
    thought_tag_marker=words,
)
options = maybe(
    temperature=st.integers(0, 2) | st.floats(0, 2),
    top_p=st.floats(0, 1),
    top_k=st.integers(0, 40),
    max_tokens=st.integers(1, 2**31 - 1),
    max_completion_tokens=st.integers(1, 99),
    stop=st.none() | st.text(max_size=3) | st.lists(words, max_size=4),
    n=st.integers(1, 8),
    seed=st.integers(),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    logprobs=st.booleans(),
    top_logprobs=st.integers(0, 20),
    response_format=exactly(type=st.sampled_from(["text", "json_object"]))
    | exactly(type=st.just("json_schema"), json_schema=exactly(name=names, schema=object_schemas)),
    reasoning_effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    reasoning=maybe(
        effort=st.just("low"), max_tokens=st.integers(-1, 9999), exclude=st.booleans(), enabled=st.booleans()
    ),
    thinking=exactly(type=st.sampled_from(["enabled", "disabled"]), budget_tokens=st.integers(0, 9999)),
    modalities=st.lists(st.sampled_from(["text", "image", "AUDIO"]), max_size=2, unique=True),
    audio=exactly(voice=words, format=st.sampled_from(["wav", "pcm16"])),
    service_tier=st.sampled_from(["auto", "default", "flex", "priority", "scale"]),
    stream=st.booleans(),
    stream_options=maybe(include_usage=st.booleans()),
    parallel_tool_calls=st.booleans(),
    web_search_options=st.just({}),
    google=google,
    extra_body=exactly(google=google),
    user=words,
    metadata=objects,
    store=st.booleans(),
    project_id=st.just("p"),
    region=st.just("global"),
)

chats: st.SearchStrategy[Json] = st.builds(
    lambda chat, toolbox, options: {**options, **toolbox, **chat},
    exactly(model=st.sampled_from(MODELS), messages=conversations),
    NOTHING | toolboxes(),
    options,
).filter(is_possible)

DEEP = '{"a":' * 300 + "1" + "}" * 300
strange: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(max_size=9)
    | st.sampled_from(
        ["", "***", "call_0__thought__***", '{"a": 1e999}', '{"a": "\\ud800"}', DEEP, "data:,", "gs://x"]
    ),
    int: st.sampled_from([0, -1, 2**31, 2**70]),
    float: st.sampled_from([0, -0.0, -1.5, 1e300]),
}
"""What may stand for a value of a type, and is mostly wrong."""


@st.composite
def half_valid(draw: st.DrawFn) -> Json:
    """A chat of which one to three values are others, twice there, or missing."""
    return spoiled(draw, draw(chats), "messages")


def spoiled(draw: st.DrawFn, body: Json, most: str) -> Json:
    """`most` is the member that has most of what may be wrong."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        _spoil(draw, body.get(most) if draw(st.booleans()) else body)
    return body


def _spoil(draw: st.DrawFn, value: Any) -> None:
    while value and isinstance(value, dict | list):
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 3)):
            value = value[place]
            continue
        how = draw(st.sampled_from(["another", "missing", "twice", "unknown"]))
        another = strange.get(type(value[place]), values) if draw(st.integers(0, 3)) else values
        if how == "missing":
            del value[place]
        elif how == "twice" and isinstance(value, list):
            value.insert(draw(st.integers(0, len(value))), copy.deepcopy(value[place]))
        elif how == "unknown" and isinstance(value, dict):
            camel = place.title().replace("_", "") if "_" in place else place
            value[draw(st.sampled_from([camel[:1].lower() + camel[1:], "thought_signature", "x"]))] = draw(another)
        else:
            value[place] = draw(another)
        return
