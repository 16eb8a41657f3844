"""The simulator on its own: python -m tests.vertex_simulator [PORT]. It ends when its standard input does."""

import sys

from tests.vertex_simulator import Simulator

if __name__ == "__main__":
    with Simulator(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        print(running.url, flush=True)
        sys.stdin.read()
