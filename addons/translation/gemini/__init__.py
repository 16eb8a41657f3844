"""Gemini's dialect, for clients that use it and for Gemini itself: GenerateContentRequest, GenerateContentResponse."""
