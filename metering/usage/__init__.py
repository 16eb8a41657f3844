"""How usage is told: a reader for each provider's format, and the table of which call gets which."""
