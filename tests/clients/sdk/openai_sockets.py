"""OpenAI's WebSockets with the real openai SDK; what came back, as JSON.

python openai_sockets.py '{"base_url": ..., "calls": [...]}'
"""

import asyncio
import faulthandler
import json
import ssl
import sys
from typing import Any

from openai import AsyncOpenAI
from openai import OpenAI
from websockets.exceptions import InvalidStatus

ENDS = ("response.completed", "response.incomplete", "response.failed", "response.done", "error")


def options(client: OpenAI) -> dict[str, Any]:
    """Options of a connection that uses threads: TLS 1.2, because websockets 17.4 has a race with TLS 1.3. If a session
    ticket comes first, its thread waits in `recv` while another sends, and one of 1,000 connections never gets its
    request out (with no proxy too)."""
    if client.base_url.scheme != "https":
        return {}
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return {"ssl": context}


def ask(connection: Any, **more: Any) -> list[str]:
    """Ask for a response, and hear its events up to the last."""
    connection.send({"type": "response.create", **more})
    kinds: list[str] = []
    while not kinds or kinds[-1] not in ENDS:
        kinds.append(connection.recv().type)
    return kinds


def responses(client: OpenAI) -> Any:
    with client.responses.connect(websocket_connection_options=options(client)) as connection:
        return [ask(connection, model="gpt-5.5", input="Hello there") for _ in range(2)]


async def _responses(client: OpenAI) -> Any:
    async with (
        AsyncOpenAI(base_url=str(client.base_url), api_key=client.api_key) as other,
        other.responses.connect() as connection,
    ):
        heard = []
        for model in ("gpt-5.5", "gpt-5.5-mini"):
            await connection.send({"type": "response.create", "model": model, "input": "Hello there"})
            event = await connection.recv()
            while event.type not in ENDS:
                event = await connection.recv()
            heard.append([event.type, event.response.usage.total_tokens])
        return heard


def responses_async(client: OpenAI) -> Any:
    return asyncio.run(_responses(client))


def realtime(client: OpenAI) -> Any:
    with client.realtime.connect(model="gpt-realtime", websocket_connection_options=options(client)) as connection:
        heard = [connection.recv().type]
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        heard.append(connection.recv().type)
        return [*heard, ask(connection)]


def translation(client: OpenAI) -> Any:
    model = "gpt-realtime-translate"
    with client.realtime.translations.connect(model=model, websocket_connection_options=options(client)) as connection:
        return connection.recv().type


def fallback(client: OpenAI) -> Any:
    """What Codex does: HTTP, if the upgrade is refused with 426."""
    try:
        with client.responses.connect(websocket_connection_options=options(client)) as connection:
            return ask(connection, model="gemini-2.5-flash", input="Hello there")
    except InvalidStatus as e:
        refused = e.response.status_code
    answer = client.responses.create(model="gemini-2.5-flash", input="Hello there")
    return [refused, answer.status, answer.usage is not None]


def main() -> None:
    # If no event comes, say what was waited for.
    faulthandler.dump_traceback_later(80, exit=True)
    asked = json.loads(sys.argv[1])
    with OpenAI(base_url=asked["base_url"], api_key=asked["api_key"], max_retries=0) as client:
        print(json.dumps({name: globals()[name](client) for name in asked["calls"]}))


if __name__ == "__main__":
    main()
