"""Which answer of the demo's model comes next.

Pure: a conversation in, the next turn out. Instead of playing scripts from the prompts it
knows the story, so that prompts, titles and artifacts read as those of a real model.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.demo import answers, story
from lab.demo.answers import Call, Turn
from lab.demo.notices import Notice
from lab.model_server import Message

READ = "delegation_read"


def next_turn(messages: Sequence[Message]) -> Turn:
    """Return what the model does now in this conversation."""
    for index, message in enumerate(messages):
        if message.role != "user":
            continue
        if message.text.strip().startswith(story.REQUEST):
            return _supervisor(messages[index:])
        for task in story.TASKS:
            if message.text.strip() == task.prompt:
                turns = answers.AGENTS[task]
                return turns[min(_answers(messages[index:]), len(turns) - 1)]
    return Turn("Done.")


def _answers(messages: Sequence[Message]) -> int:
    return sum(message.role == "assistant" for message in messages)


def _notices(messages: Sequence[Message]) -> list[Notice]:
    users = (message.text for message in messages if message.role == "user")
    return [notice for text in users for notice in Notice.all_in(text)]


def _supervisor(messages: Sequence[Message]) -> Turn:
    """Work first; read once everything has ended; say what follows from it."""
    work = answers.SUPERVISOR
    done = _answers(messages)
    told = _notices(messages)
    newest = max(i for i, message in enumerate(messages) if message.role == "assistant" or not i)
    remark = _remark(_notices(messages[newest:]))
    if done < len(work):
        turn = work[done]
        return Turn(f"{remark}{turn.text}", turn.calls, turn.seconds)
    if not any(notice.all_complete for notice in told):
        if done == len(work):
            return Turn(f"{remark}{answers.LAST_WORDS}")
        return Turn(f"{remark}Nothing to do until the rest is in.", seconds=0.5)
    if _was_read(messages):
        return Turn(answers.CONCLUSION, seconds=2.0)
    wanted = [notice.id for notice in told if notice.status == "completed"]
    calls = tuple(Call(READ, {"id": id_}) for id_ in wanted)
    return Turn("All three are in. I read what came back.", calls, 0.8)


def _remark(fresh: Sequence[Notice]) -> str:
    """Return what the supervisor says to notices that came while it worked."""
    if not fresh or fresh[-1].all_complete:
        return ""
    return "".join(f"{_said_to(notice)} " for notice in fresh)


def _said_to(notice: Notice) -> str:
    if notice.status == "completed":
        return f"{notice.id} is through; I read it at the end."
    return f"{notice.id} {notice.status}: I send Retry-After, as RFC 9110 says, and go on."


def _was_read(messages: Sequence[Message]) -> bool:
    functions = [call.get("function") for message in messages for call in message.tool_calls]
    return any(isinstance(one, dict) and one.get("name") == READ for one in functions)
