"""Images: OpenAI's requests answered by Gemini or Imagen, and Google's `:predict` answered by OpenAI's image models."""
