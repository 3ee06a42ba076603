"""What tests of the agent have in common."""

from collections.abc import Iterator

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import Tool


@pytest.fixture
def agent(tool: Tool) -> Iterator[Agent]:
    """Start an agent with the module's own `tool`."""
    made = Agent(tool).ready()
    yield made
    made.process.close()
