"""The application of `scripts/demo`."""

import subprocess

from tests.clients.conftest import command
from tests.vertex_simulator import Simulator


def test_function_calling_shows_the_call(simulator: Simulator) -> None:
    program = [*command("genai_demo.py"), simulator.url]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=100, check=True)
    assert "function calling: weather({'city': 'Paris'}) -> It rains in Paris.\n" in ended.stdout
