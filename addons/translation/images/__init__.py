"""Images: converts OpenAI's requests for Gemini and Imagen, and Google's `:predict` for OpenAI's image models."""
