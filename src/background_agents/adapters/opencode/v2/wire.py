"""The parts of line 2's API objects and events that are used, as typed structures.

Where released versions name something otherwise than the preview that was observed, both names
are read.
"""

from __future__ import annotations

import msgspec

from background_agents.adapters.opencode.messages import Tokens, fingerprint
from background_agents.adapters.opencode.wire import (
    ERROR_CHARS,
    AgentInfo,
    Model,
    PermissionRule,
    as_named,
)

DEFAULT_VARIANT = "default"
"""What a model without a variant is said to have."""

SHUTDOWN = "shutdown"
"""Why an execution was interrupted that nobody interrupted: the server has ended, or something
that it waited for was refused."""

ABORTED = "aborted"
"""The type of the error of what was interrupted."""


class Struct(msgspec.Struct, rename=as_named):
    """A part of an API object; members that are not used are skipped."""


class ModelRef(Struct):
    """A model as sessions and steps name it."""

    id: str = ""
    provider_id: str = ""
    variant: str | None = None

    @property
    def name(self) -> str:
        """``provider/model-id``."""
        return f"{self.provider_id}/{self.id}"

    @property
    def chosen_variant(self) -> str | None:
        return None if self.variant == DEFAULT_VARIANT else self.variant


def model_ref(model: str) -> ModelRef:
    """Return ``provider/model-id`` as line 2 names a model."""
    provider, _, name = model.partition("/")
    return ModelRef(name, provider)


class Location(Struct):
    directory: str = ""


class SessionInfo(Struct):
    """A session; ``session.created`` tells of it in line 1's form, with a ``directory``."""

    id: str
    parent_id: str | None = None
    title: str = ""
    agent: str | None = None
    model: ModelRef | None = None
    directory: str = ""
    location: Location = msgspec.field(default_factory=Location)
    revert: dict[str, object] | None = None
    """There until the messages that its user has undone are back, or gone by the next prompt."""

    @property
    def place(self) -> str:
        return self.location.directory or self.directory


class Rule(Struct):
    """A rule of an agent's permissions."""

    action: str
    resource: str = "*"
    effect: str = "ask"


class Agent(Struct):
    id: str
    mode: str = "all"
    description: str | None = None
    hidden: bool = False
    model: ModelRef | None = None
    system: str | None = None
    permissions: list[Rule] = []

    @property
    def info(self) -> AgentInfo:
        """The agent as line 1 tells of it."""
        model = self.model
        return AgentInfo(
            name=self.id,
            mode=self.mode,
            description=self.description,
            hidden=self.hidden,
            model=Model(model.provider_id, model.id, model.variant) if model else None,
            prompt=self.system,
            permission=[PermissionRule(r.action, r.resource, r.effect) for r in self.permissions],
        )


class Named(Struct):
    """An MCP server."""

    name: str


class Error(Struct):
    type: str = "unknown"
    message: str = ""

    @property
    def text(self) -> str:
        return (self.message or self.type)[:ERROR_CHARS]

    @property
    def aborted(self) -> bool:
        return self.type == ABORTED


# --- events ------------------------------------------------------------------


class Durable(Struct):
    seq: int = 0


class Event(Struct):
    """An event, live or from a session's log; only what the log has is ``durable``."""

    type: str
    created: float = 0
    """In milliseconds."""
    durable: Durable | None = None
    seq: int = 0
    """Of ``log.synced``: the number of the log's last entry."""
    data: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def number(self) -> int:
        """Its number in the session's log, 0 if it is not there."""
        return self.durable.seq if self.durable else 0


class OfSession(Struct):
    """What concerns one session; many events say no more."""

    session_id: str


class Created(OfSession):
    info: SessionInfo


class InputData(Struct):
    text: str = ""


class Input(Struct):
    type: str = "user"
    data: InputData = msgspec.field(default_factory=InputData)
    payload: InputData = msgspec.field(default_factory=InputData)

    @property
    def text(self) -> str:
        return self.data.text or self.payload.text


class OfInput(OfSession):
    """Of ``session.input.*``; released versions call it ``session.inbox.*``."""

    input_id: str = ""
    inbox_id: str = ""
    input: Input = msgspec.field(default_factory=Input)
    item: Input | None = None

    @property
    def message(self) -> str:
        return self.input_id or self.inbox_id

    @property
    def admitted(self) -> Input:
        return self.item or self.input


class OfAnswer(OfSession):
    """What concerns an assistant's message."""

    message_id: str = msgspec.field(name="assistantMessageID", default="")


class StepStarted(OfAnswer):
    agent: str = ""
    model: ModelRef = msgspec.field(default_factory=ModelRef)


class StepEnded(OfAnswer):
    finish: str | None = None
    error: Error = msgspec.field(default_factory=Error)
    cost: float = 0
    tokens: Tokens = msgspec.field(default_factory=Tokens)


class Text(OfAnswer):
    ordinal: int = 0
    text: str = ""
    delta: str = ""


class Tool(OfAnswer):
    call_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    content: msgspec.Raw = msgspec.Raw()
    error: Error = msgspec.field(default_factory=Error)
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    fingerprint: str = ""
    """Of the input or of what came of it, where our plugin has cut that."""

    @property
    def identity(self) -> str:
        """What equal inputs, or equal answers, have in common."""
        failure = msgspec.json.encode(self.error.message) if self.error.message else b""
        return self.fingerprint or fingerprint(bytes(self.content) or failure or bytes(self.input))


class Retry(OfAnswer):
    attempt: int = 0
    at: float = 0
    error: Error = msgspec.field(default_factory=Error)


class Failed(OfSession):
    error: Error = msgspec.field(default_factory=Error)


class Interrupted(OfSession):
    reason: str = "user"


class AgentSelected(OfSession):
    agent: str


class ModelSelected(OfSession):
    model: ModelRef


class Moved(OfSession):
    location: Location


class Renamed(OfSession):
    title: str


class Staged(OfSession):
    revert: dict[str, object]


class Committed(OfSession):
    to: str = ""


# --- permissions and forms ------------------------------------------------------


class Permission(OfSession):
    """A permission that a session waits for; also the data of ``permission.asked``."""

    id: str
    action: str = ""
    resources: list[str] = []


class Replied(OfSession):
    request_id: str
    reply: str = ""


class Option(Struct):
    value: str = ""
    label: str = ""


class When(Struct):
    key: str
    op: str = "eq"
    value: object = None


class Field(Struct):
    """One field of a form; what else there is of limits, OpenCode itself looks after."""

    key: str
    type: str = "string"
    title: str = ""
    description: str = ""
    url: str = ""
    options: list[Option] = []
    when: list[When] = []


class Form(OfSession):
    """A form that a session waits for."""

    id: str
    title: str = ""
    fields: list[Field] = []


class FormCreated(Struct):
    form: Form


class FormSettled(OfSession):
    id: str
    answer: dict[str, object] = {}


# --- stored messages -------------------------------------------------------------


class ToolMetadata(Struct):
    id: object = None
    """Of the delegation, by ``delegate``."""


class StoredTool(Struct):
    status: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def answered_id(self) -> str:
        """The id that a call of ``delegate`` has answered."""
        try:
            named = msgspec.json.decode(self.metadata, type=ToolMetadata).id
        except msgspec.DecodeError:
            return ""
        return named if self.status == "completed" and isinstance(named, str) else ""


class Content(Struct):
    """A part of an assistant's message."""

    type: str
    name: str = ""
    state: StoredTool = msgspec.field(default_factory=StoredTool)


class StoredMessage(Struct):
    id: str
    type: str
    content: list[Content] = []
    error: Error | None = None


class Cursor(Struct):
    next: str | None = None


class Page(Struct):
    """Some of a session's messages."""

    data: list[StoredMessage]
    cursor: Cursor = msgspec.field(default_factory=Cursor)
