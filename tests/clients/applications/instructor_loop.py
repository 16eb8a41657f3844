"""instructor: an object that is streamed as the arguments of a call."""

import sys

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


client = instructor.from_openai(OpenAI())
messages = [{"role": "user", "content": sys.stdin.read()}]
pieces = list(client.chat.completions.create_partial(model=sys.argv[1], response_model=Sum, messages=messages))
print(f"result-{pieces[-1].a + pieces[-1].b}")
