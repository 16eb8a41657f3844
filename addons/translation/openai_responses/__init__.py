"""OpenAI's responses. A client's face: `read_request`, and `write_answer` with `items` and `echo`. What both know:
`schema`."""
