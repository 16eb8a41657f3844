"""OpenAI's chat completions. A client's face: `read_request`, `write_answer`; a service's: `write_request`,
`read_answer`. Both use `parts` and `logprobs`. What a request may hold is in `schema` and `settings`, which
Responses use too."""
