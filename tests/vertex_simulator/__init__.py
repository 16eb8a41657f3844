"""A strict stand-in for Vertex AI on loopback.

It checks requests against Google's published schema and credentials as Google does, mints tokens for service
accounts, answers every operation, and streams and fails as it is told (`exchange.Plan`).
"""

from tests.vertex_simulator.credentials import Credentials
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.exchange import Seen
from tests.vertex_simulator.openai import KEY as OPENAI_KEY
from tests.vertex_simulator.server import Simulator

__all__ = ["OPENAI_KEY", "Answer", "Credentials", "Plan", "Request", "Seen", "Simulator"]
