"""OpenAI's dialect of chat completions. For clients of it: `read_request`, `write_answer`. For services with it:
`write_request`, `read_answer`. Both use `parts` and `logprobs`. `schema` and `settings` read a request's settings, for
Responses too."""
