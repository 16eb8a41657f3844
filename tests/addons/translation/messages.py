"""Requests for Anthropic's Messages, as hypothesis makes them: what clients send, and what they nearly send.

`requests` are valid and must be converted. `half_valid` are requests with something wrong in them somewhere: they must
be converted into what the service takes, or refused.
"""

from typing import Any

from hypothesis import strategies as st

from tests.addons.translation.chats import MODELS
from tests.addons.translation.chats import cached
from tests.addons.translation.chats import encoded
from tests.addons.translation.chats import exactly
from tests.addons.translation.chats import is_possible
from tests.addons.translation.chats import maybe
from tests.addons.translation.chats import object_schemas
from tests.addons.translation.chats import objects
from tests.addons.translation.chats import spoiled
from tests.addons.translation.chats import words

Json = dict[str, Any]

SIGNATURES = ("EqQBCgIYAhIkY2xhdWRl", "google:c2lnbmVk", "unsigned:", "google:***", "openai:x")

texts = exactly(cached, type=st.just("text"), text=words)
urls = st.sampled_from(["https://h/a.png?x=1", "https://h/a", "data:image/png;base64,AAAA"])
base64_sources = exactly(type=st.just("base64"), media_type=st.sampled_from(["image/png", "image/webp"]), data=encoded)
sources = base64_sources | exactly(type=st.just("url"), url=urls)
images = exactly(cached, type=st.just("image"), source=sources)
documents = exactly(
    cached | maybe(title=words, context=words, citations=st.just({"enabled": True})),
    type=st.just("document"),
    source=exactly(type=st.just("base64"), media_type=st.just("application/pdf"), data=encoded)
    | exactly(type=st.just("url"), url=st.just("https://h/a.pdf"))
    | exactly(type=st.just("text"), media_type=st.just("text/plain"), data=words)
    | exactly(type=st.just("content"), content=words | st.lists(texts | images, min_size=1, max_size=2)),
)
findings = exactly(
    cached, type=st.just("search_result"), source=words, title=words, content=st.lists(texts, max_size=2)
)
contents = st.text(min_size=1, max_size=9) | st.lists(texts | images | documents | findings, min_size=1, max_size=3)
thoughts = exactly(type=st.just("thinking"), thinking=st.text(max_size=9), signature=st.sampled_from(SIGNATURES))
redacted = exactly(type=st.just("redacted_thinking"), data=words)
servers = exactly(type=st.just("server_tool_use"), id=st.just("srvtoolu_1"), name=st.just("web_search"))


@st.composite
def rounds(draw: st.DrawFn) -> list[Json]:
    """Calls of tools, and a message with their results in any order."""
    several: list[str] = draw(st.permutations(["toolu_0", "toolu_1__thought__c2lnbmVk", "call_2"]))
    ids = several[: draw(st.integers(1, 3))]
    calls = [
        {"type": "tool_use", "id": id, "name": draw(st.sampled_from(["f0", "f1"])), "input": draw(objects)}
        for id in ids
    ]
    results = [
        {"type": "tool_result", "tool_use_id": id, **draw(maybe(content=contents, is_error=st.booleans()) | cached)}
        for id in draw(st.permutations(ids))
    ]
    before = draw(st.lists(thoughts | redacted | texts | servers, max_size=3))
    after = draw(st.lists(texts | images, max_size=2))
    return [{"role": "assistant", "content": before + calls}, {"role": "user", "content": results + after}]


users = exactly(role=st.just("user"), content=contents)
conversations = st.builds(
    lambda first, rest: [first, *(message for part in rest for message in part)],
    users,
    st.lists(
        st.lists(
            users
            | exactly(role=st.just("assistant"), content=words | st.lists(thoughts | texts | servers, max_size=3))
            | exactly(role=st.just("system"), content=words),
            min_size=1,
            max_size=1,
        )
        | rounds(),
        max_size=4,
    ),
)

functions = exactly(
    maybe(description=words, strict=st.booleans(), type=st.just("custom")) | cached,
    name=st.just(""),
    input_schema=object_schemas,
)
known: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ]
)


@st.composite
def toolboxes(draw: st.DrawFn) -> Json:
    tools: list[Json] = draw(st.lists(functions, max_size=3))
    for number, tool in enumerate(tools):
        tool["name"] = f"f{number}"
    parallel = draw(maybe(disable_parallel_tool_use=st.booleans()))
    choices: list[Json] = [{}, {"tool_choice": {"type": "none"}}, {"tool_choice": {"type": "auto"} | parallel}]
    if tools:
        choices += [{"tool_choice": {"type": "any"} | parallel}]
        choices += [{"tool_choice": {"type": "tool", "name": tools[0]["name"]} | parallel}]
    more = draw(st.lists(known, max_size=2, unique_by=lambda tool: tool["type"]))
    return {"tools": tools + more, **draw(st.sampled_from(choices))}


displays = st.sampled_from(["summarized", "omitted", "updates"])
formats = exactly(type=st.just("json_schema"), schema=object_schemas)
options = maybe(
    system=words | st.lists(texts, max_size=2),
    temperature=st.integers(0, 1) | st.floats(0, 1),
    top_p=st.floats(0, 1),
    top_k=st.integers(0, 40),
    stop_sequences=st.lists(words, max_size=4),
    stream=st.booleans(),
    thinking=exactly(maybe(display=displays), type=st.just("enabled"), budget_tokens=st.integers(1024, 40000))
    | exactly(maybe(display=displays), type=st.just("adaptive"))
    | exactly(type=st.just("disabled")),
    output_config=maybe(effort=st.sampled_from(["low", "medium", "high", "xhigh", "max"]), format=formats),
    output_format=formats,
    metadata=maybe(user_id=words),
    service_tier=st.sampled_from(["auto", "standard_only"]),
    container=words,
    context_management=objects,
    mcp_servers=st.just([{"type": "url", "url": "https://h", "name": "s"}]),
)

requests: st.SearchStrategy[Json] = st.builds(
    lambda request, toolbox, options: {**options, **toolbox, **request},
    exactly(model=st.sampled_from(MODELS), max_tokens=st.integers(1, 2**31 - 1), messages=conversations),
    st.builds(dict) | toolboxes(),
    options,
).filter(is_possible)


@st.composite
def half_valid(draw: st.DrawFn) -> Json:
    """A request of which one to three values are others, twice there, or missing."""
    return spoiled(draw, draw(requests), "messages")
