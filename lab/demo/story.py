"""What the demo is about: a small project, a request and three tasks for background agents.

Words only, which a real model gets as well as the scripted one; what the scripted one
answers is in ``script.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REQUEST = """\
Our API gets hammered: put a rate limit in front of it this week. Let background agents find \
out which algorithm suits us, what a 429 answer should carry, and whether our own client would \
survive being limited. Write the limiter meanwhile."""

HOW_TO = """\
Do it exactly like this:
1. In one go, call `delegate` three times, with these arguments:
{delegations}
2. Do not wait for them. Write `limiter.py` (a token bucket, under 30 lines) in this folder.
3. Then end your turn with one sentence; you are notified when a task has ended.
4. When a notification says all-complete, read each completed result with `delegation_read` \
and say in at most five lines what we should do. The second task is meant to fail."""


@dataclass(frozen=True)
class Task:
    """One piece of work for a background agent."""

    agent: str
    prompt: str


ALGORITHM = Task(
    "explore",
    "Which rate-limiting algorithm fits our public API?\n\n"
    "Compare token bucket, sliding window and fixed window for the one process in app.py, which "
    "answers about 50 requests a second. Report a recommendation, the reasons, and numbers to "
    "start with, in under 150 words.",
)
HEADERS = Task(
    "general",
    "What should a 429 answer carry?\n\n"
    "Collect what the RFCs ask for (Retry-After, RateLimit fields) and what large public APIs "
    "send. Report the headers we should send, with an example, in under 150 words.",
)
CLIENT = Task(
    "explore",
    "Would our own client survive being limited?\n\n"
    "Read client.py and app.py. Find every request that is sent without back-off, and say how "
    "the client behaves when a 429 comes. Report with line numbers, in under 200 words.",
)
TASKS = (ALGORITHM, HEADERS, CLIENT)

FAILING = HEADERS
"""The task that fails, so that one sees how a failure is told."""

PROJECT = {
    "README.md": "# parcelbox\n\nTells where a parcel is: `app.py` serves, `client.py` asks.\n",
    "app.py": '''\
"""Where is my parcel? One process, about 50 requests a second."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Tracking(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        key = self.headers.get("X-Api-Key", "")
        self.send_response(200 if key else 401)
        self.end_headers()
        self.wfile.write(b'{"state": "in transit"}')


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8000), Tracking).serve_forever()
''',
    "client.py": '''\
"""The client that our partners use."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def track(number: str, key: str, base: str = "http://127.0.0.1:8000") -> dict[str, str]:
    request = Request(f"{base}/parcels/{number}", headers={"X-Api-Key": key})
    for _attempt in range(5):
        try:
            with urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code < 429:
                raise
    raise RuntimeError(f"no answer about {number}")
''',
}


def write_project(folder: Path) -> None:
    """Write the project that the story is about."""
    for name, text in PROJECT.items():
        (folder / name).write_text(text)


def plain_request(missing_model: str) -> str:
    """Return the request for a real model, which has to be told every step.

    ``missing_model`` is a model that does not exist: the failing task is given to it, so
    that a failure is shown without one of the provider's.
    """
    lines = []
    for number, task in enumerate(TASKS, 1):
        model = f", model: `{missing_model}`" if task is FAILING else ""
        said = " ".join(task.prompt.split())
        lines.append(f'   {number}. agent: `{task.agent}`{model}, prompt: "{said}"')
    return f"{REQUEST}\n\n{HOW_TO.format(delegations=chr(10).join(lines))}"
