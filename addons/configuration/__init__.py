"""The configuration, from options and a YAML file: read once, checked, and never changed afterwards."""
