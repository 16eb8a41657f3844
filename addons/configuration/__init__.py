"""What the proxy is told to do, by options and by a YAML file: read once, checked, and never changed afterwards."""
