"""Pydantic models of the settings that only Gemini has, as OpenAI clients give them.

Source: Google's pages on its own OpenAI endpoint.
"""

from typing import Annotated
from typing import Literal

from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field

from addons.translation.validation import GoogleModel
from addons.translation.validation import Int32
from addons.translation.validation import upper

HarmCategory = Literal[
    "HARM_CATEGORY_UNSPECIFIED",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
    "HARM_CATEGORY_IMAGE_HATE",
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT",
    "HARM_CATEGORY_IMAGE_HARASSMENT",
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_JAILBREAK",
]
Threshold = Literal["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"]


class SafetySetting(GoogleModel):
    category: HarmCategory
    threshold: Threshold
    method: Literal["SEVERITY", "PROBABILITY"] | None = None


class ThinkingConfig(GoogleModel):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[Int32, Field(ge=-1)] | None = None
    thinking_level: Annotated[Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"], BeforeValidator(upper)] | None = None


class ImageConfig(GoogleModel):
    aspect_ratio: str | None = None
    image_size: str | None = None
    person_generation: Literal["ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE"] | None = None


class GoogleExtra(GoogleModel):
    """The member `google` or `extra_body.google`: what Google's OpenAI endpoint takes there, and other settings that
    only Gemini has. Members that are not declared are dropped."""

    model_config = ConfigDict(extra="allow")

    thinking_config: ThinkingConfig | None = None
    image_config: ImageConfig | None = None
    safety_settings: list[SafetySetting] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    audio_timestamp: bool | None = None
