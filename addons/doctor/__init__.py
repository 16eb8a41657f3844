"""`vertex-tap doctor`: checks of a set-up, one file a subject. `checks.py` lists them in their order."""
