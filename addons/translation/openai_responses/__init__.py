"""OpenAI's Responses, for clients only. `read_request` reads requests, `write_answer` with `items` and `echo` writes
answers, `schema` is for both."""
