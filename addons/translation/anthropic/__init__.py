"""Claude on Vertex AI: writes bodies of rawPredict and streamRawPredict, reads Anthropic's messages and events."""
