"""OpenAI's chat completions. A client's face: `read_request`, `write_answer`; a service's: `write_request`,
`read_answer`. What they share: `schema`, `settings`, `parts`, `logprobs`."""
