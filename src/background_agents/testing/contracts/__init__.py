"""One behavioural suite per port, passed by every implementation, fake or real.

To prove an adapter, install ``background-agents[testing]``, subclass the suite in a test module,
name the class ``Test...`` and say how the implementation is opened; pytest and pytest-asyncio do
the rest::

    class TestMyStore(DelegationStoreContract):
        @asynccontextmanager
        async def opened(self, folder: Path) -> AsyncIterator[DelegationStore]:
            yield await MyStore.open(folder)

Stores and clocks are opened so. The suites for runtimes and channels want a fixture ``stage``, a
``contracts.stage.Stage``: the implementation, with a user who can be made to do things.
"""

from background_agents.testing.contracts.artifacts import ArtifactStoreContract
from background_agents.testing.contracts.changes import ChangeJournalContract
from background_agents.testing.contracts.channel import SupervisorChannelContract
from background_agents.testing.contracts.clock import ClockContract
from background_agents.testing.contracts.runtime import AgentRuntimeContract
from background_agents.testing.contracts.store import DelegationStoreContract

__all__ = [
    "AgentRuntimeContract",
    "ArtifactStoreContract",
    "ChangeJournalContract",
    "ClockContract",
    "DelegationStoreContract",
    "SupervisorChannelContract",
]
