"""The members of its request that a Response repeats.

Source: OpenAI's API reference, and the types of its SDK.
"""

from addons.translation.conversation import Json
from addons.translation.openai_chat.schema import EFFORTS
from addons.translation.openai_responses.schema import CHOICES
from metering.json_values import items

REPEATED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
)
"""Members that are repeated as they are, or are null if the client leaves them out."""


def echo_of(body: Json) -> Json:
    """The members of a Response that repeat those of its request, `body`. If the client leaves one out that OpenAI's
    types do not allow to be null, it has OpenAI's default."""
    reasoning = body.get("reasoning")
    config = reasoning if isinstance(reasoning, dict) else {}
    effort = config.get("effort")
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    return {name: body.get(name) for name in REPEATED} | {
        "background": False,
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": EFFORTS.get(effort.lower()) if isinstance(effort, str) else None,
            "summary": config.get("summary") or config.get("generate_summary"),
        },
        "store": False,
        "text": {"format": wanted or {"type": "text"}},
        "tool_choice": _echo_choice(body.get("tool_choice")),
        "tools": [_echo_tool(tool) for tool in items(body.get("tools"))],
        "top_logprobs": body.get("top_logprobs") or 0,
        "truncation": "disabled",
    }


def _echo_choice(choice: object) -> object:
    """The tool choice that was used: `auto` for a tool that the service runs, as `read_request` drops that choice."""
    honoured = isinstance(choice, str) or (
        isinstance(choice, dict) and choice.get("type") in (*CHOICES, "allowed_tools")
    )
    return choice if honoured else "auto"


def _echo_tool(tool: object) -> object:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": False} | tool
