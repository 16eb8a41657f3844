"""Calls with the real anthropic SDK, which knows nothing of the proxy but ANTHROPIC_BASE_URL; what came back, as JSON.

python messages_calls.py '{"model": ..., "calls": [...]}'
"""

import json
import sys
from typing import Any

import anthropic

MESSAGES = [{"role": "user", "content": "Hello, who are you?"}]
WEATHER = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING = {"type": "enabled", "budget_tokens": 1024}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Calls:
    def __init__(self, client: Any, model: str) -> None:
        self.client = client
        self.asked: dict[str, Any] = {"model": model, "max_tokens": 2000, "messages": MESSAGES}

    def create(self, **more: Any) -> Any:
        return self.client.messages.create(**self.asked | more)

    def unary(self) -> Any:
        message = self.create(system="Be brief.", stop_sequences=["STOP"], extra_body={"temperature": 0.5})
        assert message.type == "message"
        assert message.role == "assistant"
        assert message._request_id
        return [message.content[0].text, message.stop_reason, message.usage.input_tokens, message.usage.output_tokens]

    def stream(self) -> Any:
        with self.client.messages.stream(**self.asked) as events:
            kinds = [event.type for event in events]
            message = events.get_final_message()
        return [message.content[0].text, message.stop_reason, message.usage.output_tokens > 0, kinds[0], kinds[-1]]

    def raw_stream(self) -> Any:
        return [event.type for event in self.create(stream=True)]

    def tool_loop(self) -> Any:
        """Turns, each streamed, until the model calls no tool; the history is what the SDK has made of the events."""
        messages: list[Any] = [*MESSAGES]
        told: list[Any] = []
        for _ in range(4):
            more = {"messages": messages, "tools": [WEATHER], "thinking": THINKING}
            with self.client.messages.stream(**self.asked | more) as events:
                for _ in events:
                    pass
                message = events.get_final_message()
            told.append([message.stop_reason, [block.type for block in message.content]])
            messages.append({"role": "assistant", "content": message.content})
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return [*told, message.content[-1].text]
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": call.id,
                    "is_error": number > 0,
                    "content": [{"type": "text", "text": f"Sunny in {call.input['city']}"}],
                }
                for number, call in enumerate(calls)
            ]
            messages.append({"role": "user", "content": results})
        raise AssertionError("it does not end")

    def image(self) -> Any:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        return self.create(messages=[{"role": "user", "content": content}]).stop_reason

    def count(self) -> Any:
        counted = self.client.messages.count_tokens(model=self.asked["model"], messages=MESSAGES, tools=[WEATHER])
        return counted.input_tokens

    def models(self) -> Any:
        listed = [[model.id, model.type, model.display_name] for model in self.client.models.list()]
        return [listed[0], self.client.models.retrieve(listed[0][0]).id]

    def errors(self) -> Any:
        told = {}
        for status in (400, 401, 403, 404, 429, 503):
            plan = {"x-simulator": json.dumps({"status": status})}
            try:
                self.create(extra_headers=plan)
            except anthropic.APIStatusError as e:
                told[str(status)] = [e.type, e.status_code, bool(e.request_id), isinstance(e.body, dict)]
        return told

    def bad_input(self) -> Any:
        try:
            self.create(messages=[{"role": "user", "content": [{"type": "text"}]}])
        except anthropic.BadRequestError as e:
            body: Any = e.body
            return [e.type, body["error"]["message"]]
        raise AssertionError("it was not refused")

    def broken_stream(self) -> Any:
        plan = {"x-simulator": json.dumps({"cut": 1, "events": 3})}
        try:
            for _ in self.create(stream=True, extra_headers=plan):
                pass
        except anthropic.APIError:
            return True
        return False


def main() -> None:
    asked = json.loads(sys.argv[1])
    with anthropic.Anthropic(max_retries=0) as client:
        calls = Calls(client, asked["model"])
        print(json.dumps({name: getattr(calls, name)() for name in asked["calls"]}))


if __name__ == "__main__":
    main()
