import pytest

from tests.addons.translation.gemini.examples import BLOB
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import refusal
from tests.addons.translation.recorded import camel


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"generation_config": {"top_p": "x"}}, "generationConfig.topP"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"responseModalities": ["SMELL"]}}, "generationConfig.responseModalities[0]"),
        ({"systemInstruction": {"parts": [{"inlineData": BLOB}]}}, "systemInstruction.parts[0]"),
        ({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]}, "tools"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {
                "tools": [{"functionDeclarations": [{"name": "f"}]}],
                "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["g"]}},
            },
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "x"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"labels": {"a": float("inf")}}, None),
    ],
)
def test_what_is_no_member(members: Json, param: str | None) -> None:
    found = refusal(**members)
    assert found is param is None or camel(str(found).replace("generation_config", "generationConfig")) == param
