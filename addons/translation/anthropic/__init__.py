"""Claude on Vertex AI: the bodies of rawPredict and streamRawPredict written, Anthropic's messages and events read."""
