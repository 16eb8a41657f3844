"""The mitmproxy addons and their helpers. Import them as `addons.x`, never as `x` (see gateway.py)."""
