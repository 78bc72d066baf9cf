"""One behavioural suite per port, passed by every implementation, fake or real.

To prove an adapter, subclass the suite in a test module, name the class ``Test...``
and say how the implementation is opened; pytest and pytest-asyncio do the rest.
"""

from background_agents.testing.contracts.artifacts import ArtifactStoreContract
from background_agents.testing.contracts.channel import SupervisorChannelContract
from background_agents.testing.contracts.clock import ClockContract
from background_agents.testing.contracts.runtime import AgentRuntimeContract
from background_agents.testing.contracts.store import DelegationStoreContract

__all__ = [
    "AgentRuntimeContract",
    "ArtifactStoreContract",
    "ClockContract",
    "DelegationStoreContract",
    "SupervisorChannelContract",
]
