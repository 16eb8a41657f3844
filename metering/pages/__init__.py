"""The pages of `/-/`: the dashboard, single calls, and reports as JSON and as one HTML file."""
