"""Bodies as they were seen on the wire: what google-genai and openai send, and what Gemini and OpenAI answer.

What a client of Google's sends is in both cases of letters; `camel` makes one of them. Data is shortened.
"""

from typing import Any

from addons.translation.validation import camel as camel_name

Json = dict[str, Any]

OPAQUE = frozenset("args response labels properties parametersJsonSchema responseJsonSchema".split())
"""Members whose names are the user's."""


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {camel_name(name): item for name, item in value.items()}
    return {name: item if name in OPAQUE else camel(item) for name, item in named.items()}


HI = {"contents": [{"parts": [{"text": "Hi"}], "role": "user"}]}
SIGNATURE = "YSB0aG91Z2h0IG9mIHRoZSBtb2RlbA=="
WEATHER = {"type": "OBJECT", "properties": {"city_name": {"type": "STRING", "nullable": True}}}

REQUESTS: dict[str, Json] = {
    "min": HI,
    "full": {
        "contents": [
            {"parts": [{"text": "a"}, {"inlineData": {"data": "YWJj", "mime_type": "image/png"}}], "role": "user"}
        ],
        "systemInstruction": {"parts": [{"text": "sys"}], "role": "user"},
        "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
        "tools": [{"googleSearch": {}}],
        "labels": {"a": "b"},
        "cachedContent": "projects/p/locations/l/cachedContents/9",
        "generationConfig": {
            "temperature": 0.1,
            "topP": 0.9,
            "topK": 5.0,
            "candidateCount": 1,
            "maxOutputTokens": 10,
            "stopSequences": ["x"],
            "responseLogprobs": True,
            "logprobs": 2,
            "seed": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"properties": {"a": {"type": "STRING"}}, "type": "OBJECT"},
            "thinkingConfig": {"include_thoughts": True, "thinking_budget": 128},
        },
    },
    "function": HI
    | {
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "description": "d",
                        "name": "f",
                        "parameters_json_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"allowed_function_names": ["f"], "mode": "ANY"}},
        "generationConfig": {},
    },
    "image": {
        "contents": [{"parts": [{"text": "cat"}], "role": "user"}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
        },
    },
    "javascript": {
        "contents": [
            {
                "parts": [{"text": "a"}, {"inlineData": {"data": "iVBOR2Zha2U=", "mimeType": "image/png"}}],
                "role": "user",
            }
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 128},
        },
    },
    "edit of an image": {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "Edit this image: make the sky more blue"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBOR2Zha2U="}},
                ],
            }
        ],
        "generationConfig": {"maxOutputTokens": 8192, "responseModalities": ["TEXT", "IMAGE"]},
    },
    "second turn of tools": {
        "contents": [
            {"role": "user", "parts": [{"text": "Weather in Paris and Oslo?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Let me see.", "thought": True},
                    {
                        "functionCall": {"id": "call-0", "name": "weather", "args": {"city_name": "Paris"}},
                        "thoughtSignature": SIGNATURE,
                    },
                    {"functionCall": {"id": "call-1", "name": "weather", "args": {"city_name": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "call-0", "name": "weather", "response": {"result_text": "rain"}}},
                    {
                        "functionResponse": {
                            "id": "call-1",
                            "name": "weather",
                            "response": {"output": "snow"},
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": "YWJj"}}],
                        }
                    },
                ],
            },
        ],
        "tools": [
            {"functionDeclarations": [{"name": "weather", "parameters": WEATHER, "behavior": "BLOCKING"}]},
            {"googleSearch": {"excludeDomains": ["example.org"]}},
            {"urlContext": {}},
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "VALIDATED"},
            "retrievalConfig": {"languageCode": "fr"},
        },
    },
    "every kind of part": {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {
                        "fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/o.mp4"},
                        "videoMetadata": {"fps": 2.0, "startOffset": "1s"},
                        "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                    },
                    {"inlineData": {"mimeType": "image/png", "data": "YWJj", "displayName": "a.png"}},
                    {"text": "Draw it."},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"executableCode": {"language": "PYTHON", "code": "1 + 1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
                    {"inlineData": {"mimeType": "image/png", "data": "YWJj"}, "thoughtSignature": SIGNATURE},
                    {"text": "", "thoughtSignature": SIGNATURE},
                ],
            },
            {"role": "user", "parts": [{"text": "And now?"}]},
        ],
        "generationConfig": {
            "thinkingConfig": {"thinkingLevel": "HIGH"},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
    },
}
"""GenerateContentRequests."""

GEMINI_HEAD = {"modelVersion": "gemini-2.5-flash", "responseId": "r1", "createTime": "2026-03-12T18:06:06.323808Z"}
GROUNDING = {
    "webSearchQueries": ["who won"],
    "searchEntryPoint": {"renderedContent": "<div/>"},
    "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A", "domain": "a.example"}}],
    "groundingSupports": [
        {"segment": {"endIndex": 7, "text": "España"}, "groundingChunkIndices": [0], "confidenceScores": [0.9]}
    ],
}

RESPONSES: dict[str, Json] = {
    "text": {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"text": "España ganó."}]},
                "finishReason": "STOP",
                "index": 0,
                "avgLogprobs": -0.1,
                "safetyRatings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "NEGLIGIBLE"}],
                "groundingMetadata": GROUNDING,
                "logprobsResult": {
                    "chosenCandidates": [{"token": "Es", "tokenId": 7, "logProbability": -0.5}],
                    "topCandidates": [{"candidates": [{"token": "Es", "tokenId": 7, "logProbability": -0.5}]}],
                },
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 7,
            "toolUsePromptTokenCount": 2,
            "cachedContentTokenCount": 1,
            "totalTokenCount": 17,
            "trafficType": "ON_DEMAND",
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        },
        **GEMINI_HEAD,
    },
    "calls": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"id": "c0", "name": "weather", "args": {"city_name": "Paris"}},
                            "thoughtSignature": SIGNATURE,
                        },
                        {"functionCall": {"name": "weather", "args": {}}},
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        **GEMINI_HEAD,
    },
    "two candidates": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"inlineData": {"mimeType": "image/png", "data": "YWJj"}, "thoughtSignature": SIGNATURE},
                        {"inlineData": {"mimeType": "image/png", "data": "YWJj"}, "thought": True},
                        {"executableCode": {"language": "PYTHON", "code": "1"}},
                        {"text": "", "thoughtSignature": SIGNATURE},
                    ],
                },
                "finishReason": "IMAGE_RECITATION",
                "index": 0,
                "finishMessage": "why",
            },
            {
                "content": {"role": "model", "parts": [{"text": "a"}]},
                "finishReason": "MAX_TOKENS",
                "index": 1,
                "citationMetadata": {"citations": [{"startIndex": 0, "endIndex": 1, "uri": "https://b.example"}]},
            },
        ],
        **GEMINI_HEAD,
    },
    "no content": {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "thoughtsTokenCount": 9, "totalTokenCount": 14},
        **GEMINI_HEAD,
    },
    "a blocked prompt": {
        "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "why"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        **GEMINI_HEAD,
    },
}
"""GenerateContentResponses."""


def completion(*choices: Json, **members: Any) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1770000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": index, "logprobs": None, "finish_reason": "stop"} | choice for index, choice in enumerate(choices)
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
        **members,
    }


def message(content: str | None = None, **members: Any) -> Json:
    return {"role": "assistant", "content": content, "refusal": None, **members}


LOGPROBS = {
    "content": [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
        }
    ],
    "refusal": None,
}

COMPLETIONS: dict[str, Json] = {
    "text": completion({"message": message("Hello there.")}),
    "usage in detail": completion(
        {"message": message("Hello there.")},
        service_tier="default",
        usage={
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
        },
    ),
    "calls": completion(
        {
            "message": message(
                tool_calls=[
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                ]
            ),
            "finish_reason": "tool_calls",
        }
    ),
    # What a forced call ends with.
    "a forced call": completion(
        {
            "message": message(
                tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
            ),
            "finish_reason": "stop",
        }
    ),
    "choices": completion(
        {"message": message("é"), "logprobs": LOGPROBS},
        {"message": message("b", reasoning_content="Hm."), "finish_reason": "length"},
        {
            "message": message(
                "c",
                annotations=[
                    {
                        "type": "url_citation",
                        "url_citation": {"start_index": 0, "end_index": 1, "url": "https://a.example", "title": "A"},
                    }
                ],
            )
        },
        {"message": message(None) | {"refusal": "I cannot."}},
        {
            "message": message(
                "d",
                images=[{"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,YWJj"}}],
            ),
            "finish_reason": "content_filter",
        },
    ),
}
"""chat.completions."""


def chunk(delta: Json, finish: str | None = None, **members: Any) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1770000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
        **members,
    }


def fragment(index: int, arguments: str, id: str | None = None, name: str | None = None) -> Json:
    function: Json = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function} | ({"id": id, "type": "function"} if id else {})


USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
CHUNKS: dict[str, list[Json]] = {
    "text": [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        chunk({}, choices=[], usage=USAGE),
    ],
    "thoughts and calls": [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm."}),
        chunk({"tool_calls": [fragment(0, "", "call_1", "weather")]}),
        chunk({"tool_calls": [fragment(0, '{"city":')]}),
        chunk({"tool_calls": [fragment(1, "{}", "call_2", "weather")]}),
        chunk({"tool_calls": [fragment(0, ' "Paris"}')]}),
        chunk({}, "tool_calls"),
        chunk({}, choices=[], usage=USAGE),
    ],
}
"""chat.completion.chunks, without [DONE]."""
