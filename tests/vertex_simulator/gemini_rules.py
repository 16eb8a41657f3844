"""What Google refuses of a request for Gemini beyond its schema, by the model, with Google's own words where they are
known.

Nothing here is of the product: a wrong conversion must fail.
"""

import re
from typing import Any

from tests.vertex_simulator.credentials import Denied

SIGNED = "skip_thought_signature_validator"
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
CALL_AFTER_USER = (
    "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
)
RESPONSE_AFTER_CALL = "Please ensure that function response turn comes immediately after a function call turn."
AS_MANY = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the"
    " function call turn."
)
MODEL_ENDS = "Requests ending with a model turn are not supported."
PENALTY = "Penalty is not enabled for this model"
LOGPROBS = "Unable to submit request because Logprobs is not supported for this model."
INVALID_NAME = (
    "Invalid function name. Must start with a letter or an underscore. Must be a-z, A-Z, 0-9, or contain underscores"
    " (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
)
JSON_AND_CALLS = "Function calling with a response mime type: 'application/json' is unsupported"
JSON_AND_TOOLS = "Tool use with a response mime type: 'application/json' is unsupported"
MODALITIES = "The requested combination of response modalities ({}) is not supported by the model."
SAMPLING = "Sampling parameters are not supported by this model."
VOICE = "Voice name {} is not supported."
VOICES = frozenset(
    "achernar achird algenib algieba alnilam aoede autonoe callirrhoe charon despina enceladus erinome fenrir gacrux"
    " iapetus kore laomedeia leda orus puck pulcherrima rasalgethi sadachbia sadaltager schedar sulafat umbriel"
    " vindemiatrix zephyr zubenelgenubi".split()
)
SEARCHES = {"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext"}
RESULT_MEDIA = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
LEVELS = (
    (r"gemini-3-pro-image", ()),
    (r"gemini-3\.1-flash-image", ("MINIMAL", "HIGH")),
    (r"gemini-3-pro", ("LOW", "HIGH")),
    (r"gemini-3\.1-pro|gemini-3\.[78]-", ("LOW", "MEDIUM", "HIGH")),
    (r"gemini-3", ("MINIMAL", "LOW", "MEDIUM", "HIGH")),
    (r"gemini-[4-9]", ("LOW", "MEDIUM", "HIGH")),
)


BUDGETS = ((r"gemini-2\.5-pro", 128, 32768), (r"gemini-2\.5-flash-lite", 512, 24576), (r"gemini-2\.5-", 1, 24576))
NO_THINKING = "Unable to submit request because Thinking is not supported by this model."
BUDGET = (
    "Unable to submit request because thinking_budget is out of range; supported values are integers from {} to {}."
)


def is_gemini_3(model: str) -> bool:
    return re.match(r"gemini-(?:[3-9]|\d\d)(?!.*tts)", model) is not None


def is_strict(model: str) -> bool:
    """Whether it is Gemini 3.5 Flash-Lite or a later model."""
    return re.match(r"gemini-(?:3\.5-flash-lite|3\.[6-9]|[4-9]|\d\d)", model) is not None


def is_speaking(model: str) -> bool:
    return "-tts" in model


def either(value: Any, camel: str) -> Any:
    """A member of an object, in either spelling."""
    snake = re.sub(r"([A-Z])", lambda letter: f"_{letter[0].lower()}", camel)
    return value.get(camel, value.get(snake)) if isinstance(value, dict) else None


def refuse(message: str) -> None:
    raise Denied(400, "INVALID_ARGUMENT", message)


def check_conversation(model: str, body: dict[str, Any], signature: str) -> None:
    """Checks all. `signature` is the only one that a model of the simulator gives. Raises Denied."""
    if not body.get("contents"):
        refuse("contents is not specified")
    check_config(model, body)
    check_names(body)
    check_turns(model, body["contents"])
    for content in body["contents"]:
        check_parts(model, content, signature)


def tools_of(body: dict[str, Any]) -> tuple[list[dict[str, Any]], set[str]]:
    """The declared functions, and the names of the server's tools."""
    declared: list[dict[str, Any]] = []
    server: set[str] = set()
    for tool in body.get("tools") or []:
        declared += either(tool, "functionDeclarations") or []
        server |= {name for name in tool if name not in ("functionDeclarations", "function_declarations")}
    return declared, {re.sub(r"_(\w)", lambda letter: letter[1].upper(), name) for name in server}


def check_config(model: str, body: dict[str, Any]) -> None:
    config = either(body, "generationConfig") or {}
    thinking = either(config, "thinkingConfig") or {}
    level, budget = either(thinking, "thinkingLevel"), either(thinking, "thinkingBudget")
    if level:
        known = next((levels for name, levels in LEVELS if re.match(name, model)), ())
        if budget is not None or level.upper() not in known:
            refuse("thinking_level is not supported by this model.")
    check_budget(model, thinking, budget)
    declared, server = tools_of(body)
    check_modalities(model, either(config, "responseModalities"))
    voice = either(either(either(config, "speechConfig"), "voiceConfig"), "prebuiltVoiceConfig")
    if voice and (name := either(voice, "voiceName")).lower() not in VOICES:
        refuse(VOICE.format(name))
    if is_speaking(model) and is_strict(model) and any(either(config, one) for one in ("temperature", "topP", "topK")):
        refuse(SAMPLING)
    if is_speaking(model) and either(body, "systemInstruction"):
        refuse("Developer instruction is not enabled for this model")
    if (is_speaking(model) or "-image" in model) and declared:
        refuse("Function calling is not enabled for this model")
    if is_gemini_3(model):
        if either(config, "presencePenalty") or either(config, "frequencyPenalty"):
            refuse(PENALTY)
        if either(config, "responseLogprobs"):
            refuse(LOGPROBS)
        return
    if (is_speaking(model) or "-image" in model) and either(config, "responseMimeType") == "application/json":
        refuse("JSON mode is not enabled for this model")
    if declared and server & SEARCHES:
        refuse("Multiple tools are supported only when they are all search tools.")
    if either(config, "responseMimeType") == "application/json" and (declared or server):
        refuse(JSON_AND_CALLS if declared else JSON_AND_TOOLS)


def check_budget(model: str, thinking: dict[str, Any], budget: Any) -> None:
    if thinking and re.match(r"gemini-(?:1|2\.0)", model):
        refuse(NO_THINKING)
    least, most = next(((least, most) for name, least, most in BUDGETS if re.match(name, model)), (None, None))
    if budget is None or least is None or most is None or int(budget) == -1:
        return
    turns_off = int(budget) == 0 and "-pro" not in model
    if not turns_off and not least <= int(budget) <= most:
        refuse(BUDGET.format(least, most))


def check_modalities(model: str, modalities: list[str] | None) -> None:
    asked = {one.upper() for one in modalities or ["TEXT"]}
    if is_speaking(model):
        fits = asked == {"AUDIO"}
    elif "image" in model:
        fits = not modalities or "IMAGE" in asked
    else:
        gives_text_only = r"gemini-(?:1|2\.5|2\.0-flash(?:-lite|-\d|$)|3(?:\.\d)?-(?:pro|flash))"
        fits = asked == {"TEXT"} or not re.match(gives_text_only, model)
    if not fits:
        refuse(MODALITIES.format(", ".join(sorted(asked))))


def check_names(body: dict[str, Any]) -> None:
    declared, _ = tools_of(body)
    calling = either(either(body, "toolConfig"), "functionCallingConfig")
    names = [function.get("name") for function in declared] + (either(calling, "allowedFunctionNames") or [])
    for content in body["contents"]:
        for part in content.get("parts") or []:
            for kind in ("functionCall", "functionResponse"):
                if function := either(part, kind):
                    names.append(function.get("name"))
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            refuse(INVALID_NAME)
    if len({function["name"] for function in declared}) < len(declared):
        refuse("Duplicate function declaration found.")


def check_turns(model: str, contents: list[dict[str, Any]]) -> None:
    """Checks that calls and results stand where they may, and who has the last word."""
    calls: list[dict[str, Any]] = []
    before = None
    for content in contents:
        parts = content.get("parts") or []
        if not parts:
            refuse("contents.parts must not be empty.")
        results = [either(part, "functionResponse") for part in parts if either(part, "functionResponse")]
        if results and not calls:
            refuse(RESPONSE_AFTER_CALL)
        if len(results) != len(calls):
            refuse(AS_MANY)
        if len(results) not in (0, len(parts)):
            refuse(MODEL_ENDS if is_strict(model) else AS_MANY)
        if is_strict(model) and sorted(str(one.get("id")) for one in results) != sorted(
            str(one.get("id")) for one in calls
        ):
            refuse("functionResponse.id does not match functionCall.id")
        calls = [either(part, "functionCall") for part in parts if either(part, "functionCall")]
        if calls and before in (None, "model"):
            refuse(CALL_AFTER_USER)
        before = content.get("role") or "user"
    if before == "model" and is_strict(model):
        refuse(MODEL_ENDS)


def check_parts(model: str, content: dict[str, Any], signature: str) -> None:
    """Checks the ids, media and signatures of calls and results."""
    calls = []
    for part in content["parts"]:
        call, result = either(part, "functionCall"), either(part, "functionResponse")
        if call:
            calls.append(part)
        if not is_gemini_3(model) and any("id" in one for one in (call, result) if one):
            refuse('Unknown name "id" at function_call')
        for medium in either(result, "parts") or []:
            kind = either(either(medium, "inlineData") or either(medium, "fileData"), "mimeType")
            if not is_gemini_3(model) or kind not in RESULT_MEDIA:
                refuse(f"{kind} is not supported in function_response.parts.")
    if calls and is_gemini_3(model) and either(calls[0], "thoughtSignature") not in (signature, SIGNED):
        refuse("Function call is missing a thought_signature in functionCall parts.")
