"""Everything that meets traffic. Imported as `addons.x`, never bare (see gateway.py)."""
