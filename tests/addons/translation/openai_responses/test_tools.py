import re
from typing import Any

import pytest

from addons.translation.conversation import ClientTool
from addons.translation.conversation import Function
from addons.translation.conversation import ToolChoice
from addons.translation.openai_chat.schema import NOT_SERVED
from addons.translation.openai_responses.client_calls import KINDS
from tests.addons.translation.openai_responses.inputs import HI
from tests.addons.translation.openai_responses.inputs import read
from tests.addons.translation.openai_responses.inputs import refused
from tests.addons.translation.openai_responses.inputs import tool

Json = dict[str, Any]


CUSTOM: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: PATCH"},
}


def group(name: str, *tools: Json, description: str = "") -> Json:
    return {"type": "namespace", "name": name, "description": description, "tools": [*tools]}


MCP: Json = {"type": "mcp", "server_label": "docs", "server_url": "https://h"}


class TestTools:
    def test_functions(self) -> None:
        schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
        request = read(tools=[tool(description="d", parameters=schema, strict=True), tool("g")])
        assert request.functions == [Function("f", "d", schema), Function("g")]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("web_search", "googleSearch"),
            ("web_search_2025_08_26", "googleSearch"),
            ("web_search_preview", "googleSearch"),
            ("web_search_preview_2025_03_11", "googleSearch"),
            ("code_interpreter", "codeExecution"),
            ("url_context", "urlContext"),
        ],
    )
    def test_tools_of_the_service(self, kind: str, name: str) -> None:
        request = read(tools=[tool(), {"type": kind}])
        assert (request.server_tools, request.modalities) == ({name: "tools[1]"}, None)

    def test_images(self) -> None:
        request = read(tools=[{"type": "image_generation", "size": "auto"}])
        assert (request.modalities, request.server_tools, request.notes.dropped) == (["text", "image"], {}, [])

    def test_options_of_tools_are_named(self) -> None:
        searched = {"type": "web_search", "filters": {"allowed_domains": ["h"]}, "user_location": None}
        request = read(
            tools=[
                searched,
                {"type": "code_interpreter", "container": {"type": "auto"}},
                {"type": "image_generation", "size": "1x1"},
            ]
        )
        assert request.notes.dropped == ["tools[0].filters", "tools[2].size"]

    @pytest.mark.parametrize(
        ("tools", "param"),
        [
            ([{"type": "custom"}], "tools[0].name"),
            ([CUSTOM, CUSTOM], "tools"),
            ([{"type": "namespace", "name": "n"}], "tools[0].tools"),
            ([{"type": "namespace", "tools": []}], "tools[0].name"),
            ([group("n", {"type": "mcp"})], "tools[0].tools[0]"),
            ([{"type": "unheard_of"}], "tools[0]"),
            ([{}], "tools[0]"),
            ([tool(), tool()], "tools"),
            ([{"type": "function", "function": {"name": "f"}}], "tools[0].name"),
            ([tool(parameters={"maximum": float("inf")})], "tools"),
        ],
    )
    def test_what_is_no_tool(self, tools: list[Json], param: str) -> None:
        assert refused(tools=tools) == param

    @pytest.mark.parametrize(
        ("choice", "expected", "others", "dropped"),
        [
            ("auto", ToolChoice("auto"), True, []),
            ("required", ToolChoice("required"), True, []),
            ("none", ToolChoice("none"), False, []),
            ({"type": "function", "name": "f"}, ToolChoice("required", ["f"]), True, []),
            (
                {"type": "allowed_tools", "mode": "required", "tools": [tool(), {"type": "web_search"}]},
                ToolChoice("required", ["f"]),
                True,
                [],
            ),
            (
                {"type": "allowed_tools", "mode": "auto", "tools": [tool()]},
                ToolChoice("auto", ["f"]),
                False,
                [],
            ),
            (
                {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
                ToolChoice("none"),
                True,
                [],
            ),
            ({"type": "web_search"}, None, True, ["tool_choice"]),
        ],
    )
    def test_choices(self, choice: object, expected: ToolChoice | None, others: bool, dropped: list[str]) -> None:
        request = read(tools=[tool(), {"type": "web_search"}], tool_choice=choice)
        assert request.tool_choice == expected
        assert bool(request.server_tools) == others
        assert request.notes.dropped == dropped

    def test_a_choice_among_nothing(self) -> None:
        assert read(tools=[{"type": "web_search"}], tool_choice="required").notes.dropped == ["tool_choice"]

    @pytest.mark.parametrize(
        ("choice", "param"),
        [
            ("any", "tool_choice"),
            ({"type": "function"}, "tool_choice.name"),
            ({"type": "function", "name": "g"}, "tool_choice"),
            ({"type": "allowed_tools", "mode": "auto", "tools": [tool("g")]}, "tool_choice"),
            ({"type": "file_search"}, "tool_choice.type"),
            ({"name": "f"}, "tool_choice.type"),
        ],
    )
    def test_what_is_no_choice(self, choice: object, param: str) -> None:
        assert refused(tools=[tool()], tool_choice=choice) == param


class TestToolsOfTheClient:
    def test_a_group_becomes_functions_with_its_name(self) -> None:
        parameters: Json = {"type": "object", "properties": {"id": {"type": "string"}}}
        agents = group("agents", tool("wait", description="Waits.", parameters=parameters), tool("stop"))
        request = read(tools=[tool("wait"), agents | {"description": "Of agents."}])
        assert request.functions == [
            Function("wait"),
            Function("agents__wait", "About agents: Of agents.\n\nWaits.", parameters),
            Function("agents__stop"),
        ]
        assert request.client_tools == {
            "agents__wait": ClientTool("function", "wait", "agents"),
            "agents__stop": ClientTool("function", "stop", "agents"),
        }
        assert request.notes.dropped == []

    def test_a_custom_tool_becomes_a_function_with_a_text(self) -> None:
        (function,) = read(tools=[CUSTOM]).functions
        assert function.name == "apply_patch"
        assert function.description == "Edits files.\n\nThe input must follow this lark grammar:\nstart: PATCH"
        assert function.parameters
        assert function.parameters["required"] == ["input"]
        assert read(tools=[CUSTOM]).notes.assumed == ["tools[0].format=description"]
        free = CUSTOM | {"format": {"type": "text"}}
        assert read(tools=[free]).functions[0].description == "Edits files."
        assert read(tools=[free]).notes.assumed == []

    @pytest.mark.parametrize("kind", ["shell", "local_shell", "apply_patch", "tool_search"])
    def test_a_kind_without_names(self, kind: str) -> None:
        request = read(tools=[{"type": kind, "execution": "client", "environment": {"type": "local"}}])
        (function,) = request.functions
        assert (function.name, bool(function.description)) == (kind, True)
        assert function.parameters == KINDS[kind].parameters
        assert (request.client_tools, request.notes.dropped) == ({kind: ClientTool(kind, kind)}, [])

    def test_a_search_says_how_it_is_asked(self) -> None:
        parameters: Json = {"type": "object", "properties": {"limit": {"type": "number"}}}
        search = {"type": "tool_search", "execution": "client", "description": "BM25.", "parameters": parameters}
        assert read(tools=[search]).functions == [Function("tool_search", "BM25.", parameters)]

    def test_names_are_kept_apart(self) -> None:
        tools = [tool("apply_patch"), CUSTOM, {"type": "apply_patch"}, group("a", tool("b")), tool("a__b")]
        request = read(tools=tools)
        names = [function.name for function in request.functions]
        assert len({*names}) == 5
        assert (names[0], names[4]) == ("apply_patch", "a__b")
        assert {request.client_tools[names[place]].kind for place in (1, 2, 3)} == {"custom", "apply_patch", "function"}
        assert names == [function.name for function in read(tools=tools).functions]

    @pytest.mark.parametrize(
        ("namespace", "name"), [("mcp__ä__", "x y"), ("9", "lives"), ("n" * 60, "f" * 60), ("crm.v2", "find")]
    )
    def test_names_are_valid_for_every_service(self, namespace: str, name: str) -> None:
        request = read(tools=[group(namespace, tool(name), tool(name + "_"))])
        for function in request.functions:
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", function.name)
        assert [one.name for one in request.client_tools.values()] == [name, name + "_"]

    @pytest.mark.parametrize(
        ("choice", "names"),
        [
            ({"type": "function", "name": "wait", "namespace": "agents"}, ["agents__wait"]),
            ({"type": "function", "name": "wait"}, ["wait"]),
            ({"type": "function", "name": "stop"}, ["agents__stop"]),
            ({"type": "namespace", "name": "agents"}, ["agents__wait", "agents__stop"]),
            ({"type": "custom", "name": "apply_patch"}, ["apply_patch"]),
            ({"type": "shell"}, ["shell"]),
        ],
    )
    def test_choices(self, choice: Json, names: list[str]) -> None:
        tools = [tool("wait"), group("agents", tool("wait"), tool("stop")), CUSTOM, {"type": "shell"}]
        assert read(tools=tools, tool_choice=choice).tool_choice == ToolChoice("required", names)
        several = {"type": "allowed_tools", "mode": "auto", "tools": [choice, {"type": "web_search"}]}
        assert read(tools=tools, tool_choice=several).tool_choice == ToolChoice("auto", names)

    @pytest.mark.parametrize(
        "choice",
        [
            {"type": "function", "name": "stop", "namespace": "other"},
            {"type": "function", "name": "apply_patch"},
            {"type": "custom", "name": "f"},
            {"type": "namespace", "name": "f"},
            {"type": "local_shell"},
        ],
    )
    def test_a_choice_of_what_is_not_there(self, choice: Json) -> None:
        tools = [tool(), group("agents", tool("stop")), CUSTOM, {"type": "shell"}]
        assert refused(tools=tools, tool_choice=choice) == "tool_choice"
        several = {"type": "allowed_tools", "mode": "auto", "tools": [choice]}
        assert refused(tools=tools, tool_choice=several) == "tool_choice"

    def test_tools_that_come_later(self) -> None:
        more: Json = {"type": "additional_tools", "role": "developer", "tools": [group("n", tool("a")), CUSTOM]}
        request = read(HI, more, more, tools=[tool()])
        assert [function.name for function in request.functions] == ["f", "n__a", "apply_patch"]


class TestToolsOfOpenAI:
    @pytest.mark.parametrize(
        "hosted",
        [
            *({"type": kind} for kind in sorted(NOT_SERVED)),
            MCP,
            {"type": "file_search", "vector_store_ids": ["v"]},
            {"type": "shell", "environment": {"type": "container_auto"}},
            {"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}},
            {"type": "tool_search", "execution": "server"},
        ],
    )
    def test_they_are_dropped_and_named(self, hosted: Json) -> None:
        request = read(tools=[tool(), hosted], tool_choice="required")
        assert [function.name for function in request.functions] == ["f"]
        assert request.notes.dropped == ["tools[1]"]
        assert read(tools=[hosted]).notes.dropped == ["tools[0]"]
        kind = hosted["type"]
        for choice in (
            "required",
            {"type": kind},
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]},
        ):
            assert refused(tools=[hosted], tool_choice=choice) == "tool_choice"

    def test_a_choice_that_allows_others_too(self) -> None:
        allowed = {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "mcp"}, {"type": "function", "name": "f"}],
        }
        assert read(tools=[tool(), MCP], tool_choice=allowed).tool_choice == ToolChoice("required", ["f"])
