"""Pydantic models of Gemini's requests, and tables that map Gemini's names to ours.

The models of contents and parts are used to check a request only: `read_request.py` reads contents from the body
itself, so that no member of a part is lost. Members that are not declared here are allowed.

Source: GenerateContentRequest in the discovery document of aiplatform v1.
"""

from typing import Annotated
from typing import Literal

from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field

from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.function_names import NameRule
from addons.translation.validation import GoogleModel
from addons.translation.validation import upper

SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Fields of our `Request` -> members of a GenerationConfig that have the same values."""
MODES: dict[Literal["none", "auto", "required"], str] = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
"""Our `ToolChoice.mode` -> the mode of a FunctionCallingConfig."""

FUNCTION_NAMES = NameRule("a-zA-Z_", "a-zA-Z0-9_.:-", 64)
"""The names of functions that Gemini takes. Google's schema allows 128 characters; the error message of its servers
says "with a maximum length of 64"."""
LEVELS: dict[str, Effort] = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
"""Google's `thinkingLevel` -> our effort."""

SERVED_TIERS = {
    "ON_DEMAND": "default",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "scale",
}
"""The `trafficType` of an answer's usageMetadata -> OpenAI's `service_tier`."""
SERVICE_TIERS = {"standard": "default", "priority": "priority", "flex": "flex"}
"""The `serviceTier` of an answer's usageMetadata, which the Gemini API tells instead -> OpenAI's `service_tier`."""


def as_list(value: object) -> object:
    """A single value as a list of one. proto3 JSON allows it in place of a list, and Google's examples use it."""
    return value if isinstance(value, list) or value is None else [value]


class Extensible(GoogleModel):
    """An object that may have members that are not declared here; they are in its `model_extra`."""

    model_config = ConfigDict(extra="allow")


Number = Annotated[float, Field(strict=False)]
"""proto3 JSON may write a number as a string: `"0.5"`."""
Integer = Annotated[int, Field(strict=False, ge=-(2**31), lt=2**31)]
"""proto3 JSON may write an integer as a string, or with a fraction of 0: `"5"`, `5.0`."""
Positive = Annotated[Integer, Field(ge=1)]


class Blob(Extensible):
    mime_type: str = Field(min_length=1)
    data: str


class FileData(Extensible):
    mime_type: str | None = None
    file_uri: str = Field(min_length=1)


class CalledFunction(Extensible):
    id: str | None = None
    name: str = Field(min_length=1)
    args: Json | None = None


class PartOfResult(Extensible):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResult(Extensible):
    id: str | None = None
    name: str = Field(min_length=1)
    response: Json | None = None
    parts: Annotated[list[PartOfResult], BeforeValidator(as_list)] | None = None


class PartOfContent(PartOfResult):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: CalledFunction | None = None
    function_response: FunctionResult | None = None
    executable_code: Json | None = None
    code_execution_result: Json | None = None
    video_metadata: Json | None = None
    media_resolution: Json | str | None = None


class Content(Extensible):
    role: Literal["user", "model", "function", "tool", "system", ""] | None = None
    parts: Annotated[list[PartOfContent], BeforeValidator(as_list), Field(min_length=1)]


class FunctionDeclaration(Extensible):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: Json | None = None
    parameters_json_schema: Json | None = None


class Tool(Extensible):
    function_declarations: Annotated[list[FunctionDeclaration], BeforeValidator(as_list)] | None = None


class FunctionCallingConfig(Extensible):
    mode: Annotated[Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"], BeforeValidator(upper)] | None = (
        None
    )
    allowed_function_names: Annotated[list[str], BeforeValidator(as_list)] | None = None


class ToolConfig(Extensible):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(Extensible):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[Integer, Field(ge=-1)] | None = None
    thinking_level: (
        Annotated[
            Literal["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"],
            # Google's own examples have levels in lower case, and the AI SDK sends them so.
            BeforeValidator(upper),
        ]
        | None
    ) = None


class GenerationConfig(Extensible):
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    top_k: Annotated[Number, Field(ge=0)] | None = None
    candidate_count: Positive | None = None
    max_output_tokens: Positive | None = None
    stop_sequences: Annotated[list[str], BeforeValidator(as_list)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    seed: Integer | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[Integer, Field(ge=0, le=20)] | None = None
    response_modalities: (
        Annotated[list[Annotated[Literal["TEXT", "IMAGE", "AUDIO"], BeforeValidator(upper)]], BeforeValidator(as_list)]
        | None
    ) = None
    response_mime_type: str | None = None
    response_schema: Json | None = None
    response_json_schema: Json | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateContentRequest(Extensible):
    contents: Annotated[list[Content], BeforeValidator(as_list), Field(min_length=1)]
    system_instruction: Content | None = None
    tools: Annotated[list[Tool], BeforeValidator(as_list)] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
