"""Gemini's dialect, GenerateContentRequest and GenerateContentResponse: for clients that speak it, and for Gemini."""
