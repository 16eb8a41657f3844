"""What a call used: pure Python and SQLite. Imports no mitmproxy and nothing of `addons`."""
