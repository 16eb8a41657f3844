"""Readers that find the usage in responses, one for each format, and the table of which call gets which."""
