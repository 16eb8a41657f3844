"""OpenAI's Responses, as the dialect of clients. `read_request` reads requests, `write_answer` with `items` and `echo`
writes answers, `schema` is for both. `read_answer` reads answers that pass through, for those who look at them."""
