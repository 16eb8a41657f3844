"""Measures what calls use, and stores it in SQLite. Imports neither mitmproxy nor `addons`."""
