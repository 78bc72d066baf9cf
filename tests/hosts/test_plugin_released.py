"""OpenCode 2's plugin with contexts that the pinned preview does not give it.

Played in the Bun that OpenCode is made of: what a released OpenCode 2 offers in addition, and the
part of OpenCode 2 that OpenCode 1 boots as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.harness.bridge import BRIDGE
from lab.harness.home import find_binary

pytestmark = pytest.mark.opencode

LIMIT_S = 60

SERVICE = """
import json, socket

with socket.socket(fileno=3) as bridge:
    for line in bridge.makefile():
        asked = json.loads(line)
        if asked["method"] == "hook":
            result = {"shell": "background", "compacting": "Keep it."}.get(asked["params"]["hook"])
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
            bridge.sendall((json.dumps(answer) + "\\n").encode())
"""
"""Knows every session for a background agent's."""

PRELUDE = """
import {{ plugin }} from {bridge}
import {{ setTimeout }} from "node:timers/promises"

const OURS = Symbol.for("background-agents.service")
const MARK = "BACKGROUND_AGENTS_SHELL"
const half = plugin({{ command: {command} }})

// A server of this process, for the plugin to find.
const server = Bun.serve({{ port: 0, fetch: () => Response.json({{ pid: process.pid }}) }})
process.env.OPENCODE_PASSWORD = "known"

const hooks = {{}}
const hook = (place) => async (name, run) => {{ hooks[`${{place}}.${{name}}`] = run }}
const context = {{
  app: {{ version: "2.1.0" }},
  location: {{ directory: "/project" }},
  event: {{ subscribe: async function* () {{ await new Promise(() => {{}}) }} }},
  session: {{ hook: hook("session") }},
  tool: {{ hook: hook("tool"), transform: async (change) => change({{ add: () => {{}} }}) }},
  shell: {{ hook: hook("shell") }},
}}

// Once the service answers within the time that a hook has.
const attached = async () => {{
  while (!globalThis[OURS]?.instances.size) await setTimeout(5)
  while (!(await globalThis[OURS].ask(1, "shell", {{ session: "ses_0" }}))) await setTimeout(5)
}}
const say = (result) => {{
  console.log(JSON.stringify(result))
  globalThis[OURS]?.child?.kill("SIGKILL")
  process.exit()
}}
"""


def played(tmp_path: Path, script: str) -> Any:
    """Return what ``script`` says after ``PRELUDE``."""
    command = json.dumps([sys.executable, "-c", SERVICE])
    file = tmp_path / "script.mjs"
    file.write_text(PRELUDE.format(bridge=json.dumps(str(BRIDGE)), command=command) + script)
    ran = subprocess.run(
        [find_binary().path, "run", str(file)],
        env={**os.environ, "BUN_BE_BUN": "1", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


def test_the_part_of_opencode_2_in_opencode_1_gets_nothing(tmp_path: Path) -> None:
    """OpenCode 1.17.10 and later call ``setup`` too, with a context that only registers."""
    script = """
    const { tool, event, ...partial } = context
    const cleanup = await half.setup(partial)
    say([cleanup ?? null, Object.keys(hooks), globalThis[OURS] ?? null])
    """
    assert played(tmp_path, script) == [None, [], None]


def test_a_released_opencode_marks_the_shells_of_models_by_its_hook(tmp_path: Path) -> None:
    script = """
    await half.setup(context)
    await attached()
    const started = async (session) => {
      const env = { OPENCODE_SESSION_ID: session }
      await hooks["shell.create.before"]({ command: "true", env })
      return env[MARK] ?? null
    }
    const before = await started("ses_1")
    const call = { tool: "shell", sessionID: "ses_1", id: "call_1", input: {} }
    await hooks["tool.execute.before"](call)
    const [inTheServer, inTheShell] = [process.env[MARK] ?? null, await started("ses_1")]
    say([before, inTheServer, inTheShell, await started("ses_1")])
    """
    assert played(tmp_path, script) == [None, None, "background", None]


def test_only_steps_of_a_conversation_are_changed(tmp_path: Path) -> None:
    """A released OpenCode 2 runs its titles and summaries through the same hook."""
    script = """
    await half.setup(context)
    const offered = async (kind) => {
      const tools = { notify_parent: {}, read: {} }
      const event = { kind, sessionID: "ses_1", system: [], messages: [], tools }
      await hooks["session.context"](event)
      return Object.keys(tools)
    }
    say([await offered("title"), await offered("primary"), await offered(undefined)])
    """
    assert played(tmp_path, script) == [["notify_parent", "read"], ["read"], ["read"]]


def test_a_released_opencode_keeps_in_its_summary_what_must_be_kept(tmp_path: Path) -> None:
    script = """
    await half.setup(context)
    await attached()
    const summary = async (system) => {
      const event = { sessionID: "ses_1", messages: [], system }
      await hooks["session.compaction"](event)
      return event.system
    }
    say([await summary([{ type: "text", text: "Summarize." }]), await summary([])])
    """
    assert played(tmp_path, script) == [
        [{"type": "text", "text": "Summarize.\n\nKeep it."}],
        [{"type": "text", "text": "Keep it."}],
    ]


def test_a_plugin_serves_both_lines_and_has_nothing_else(tmp_path: Path) -> None:
    """Either line refuses a plugin with a ``tui`` in it, for one."""
    script = (
        "say(Object.fromEntries(Object.entries(half).map(([name, one]) => [name, typeof one])))"
    )
    assert played(tmp_path, script) == {"id": "string", "server": "function", "setup": "function"}
