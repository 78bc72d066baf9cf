"""Strict mode and tools that OpenCode knows no more of than their names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from plays import call, delegate, say, staged, together

from lab.harness.line import Line

pytestmark = pytest.mark.opencode

ONE_TOOL = """
import { writeFileSync } from "node:fs"
export default {
  description: "Deploys.",
  args: {},
  execute: async () => (writeFileSync("deployed.txt", "by a tool"), "Deployed."),
}
"""

ONE_PLUGIN = """
const tool = { description: "Knows.", args: {}, execute: async () => "So it is." }
export const Plugged = async () => ({ tool: { docs_lookup: tool, docs_store: tool } })
"""

TWO_PLUGIN = """
import { writeFileSync } from "node:fs"
const about = { description: "Does.", input: { type: "object" }, options: { codemode: false } }
const knows = async () => ({ content: "So it is." })
const deploys = async () => (writeFileSync("deployed.txt", "by a tool"), { content: "Deployed." })
const tools = { docs_lookup: knows, docs_store: knows, deploy: deploys }
const setup = (ctx) => ctx.tool.transform((draft) => {
  for (const name in tools) draft.add({ ...about, name, execute: tools[name] })
})
export default { id: "plugged", setup }
"""

MCP = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {"tools": [{"name": "push", "inputSchema": {"type": "object"}}]}
    if asked["method"] == "initialize":
        about = {"name": "shelf", "version": "1"}
        version = asked["params"]["protocolVersion"]
        answer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""

READS = {"edit": "deny", "bash": "deny"}

AGENTS: Mapping[str, Mapping[str, str]] = {
    # Edits and commands denied, and free to call whatever else there is.
    "careless": READS,
    "no-deploy": {**READS, "deploy": "deny", "docs_store": "deny"},
    "no-shelf": {**READS, "the_shelf_*": "deny"},
    "neither": {**READS, "deploy": "deny", "the_shelf_*": "deny", "docs_store": "deny"},
    "asks": {**READS, "deploy": "ask", "the_shelf_*": "deny", "docs_store": "deny"},
    "closed": {"*": "deny", "read": "allow", "docs_lookup": "allow"},
    "reopened": {"*": "deny", "read": "allow", "the_shelf_push": "allow"},
}

READ_ONLY = {"neither", "closed"}


def lay_out(root: Path, line: Line) -> Mapping[str, object]:
    """Write a custom tool, a plugin with tools, an MCP server and our settings; return a config."""
    server = root / "shelf.py"
    tools = {
        root / "project" / ".opencode" / "tool" / "deploy.js": ONE_TOOL,
        root / "config" / "opencode" / "plugin" / "plugged.js": ONE_PLUGIN,
    }
    if line is Line.TWO:
        tools = {root / "config" / "opencode" / "plugins" / "plugged.js": TWO_PLUGIN}
    files = {
        **tools,
        root / "config" / "background-agents" / "config.toml": (
            '[background-agents]\nstrict_readonly = true\nsafe_tools = ["docs_l*"]\n'
        ),
        server: MCP,
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    agents = {name: {"mode": "subagent", "permission": AGENTS[name]} for name in AGENTS}
    shelf = {"type": "local", "command": [sys.executable, str(server)]}
    return {"agent": agents, "mcp": {"the shelf": shelf}}


@pytest.mark.main_path
async def test_tools_that_nobody_knows_count_as_writing(tmp_path: Path, line: Line) -> None:
    """Custom, plugins' and MCP servers' tools, unless they are denied or named safe."""
    async with staged(tmp_path, line, config=lay_out(tmp_path, line)) as stage:
        supervisor = await stage.supervisor()
        deploy = call("deploy")
        tried = [delegate("Try.", deploy, say("Done."), agent=name) for name in AGENTS]
        await supervisor.turn(together(*tried), say("Tried."), on_notice=[say("Ok.")])
        answers = dict(zip(AGENTS, await supervisor.outputs("delegate", len(AGENTS)), strict=True))
        taken = {name for name, answer in answers.items() if answer.startswith("Delegated to")}
        await supervisor.settled(len(taken))

        assert taken == READ_ONLY
        assert not (stage.opencode.home.project / "deployed.txt").exists()
        for name in ("careless", "no-deploy", "no-shelf", "asks", "reopened"):
            assert answers[name].startswith(f"'{name}' may call tools that may write")
            assert "\n" not in answers[name].strip()
        assert "(deploy, docs_store, the_shelf_*)" in answers["careless"]
        assert "(the_shelf_*)" in answers["no-deploy"]
        assert "(deploy, docs_store)" in answers["no-shelf"]
        assert "(the_shelf_push)" in answers["reopened"]
        assert "safe_tools" in answers["careless"]
        (offered,) = {tool for one in stage.asked("Try.") for tool in one.tool_names} & {
            *("deploy", "docs_lookup", "docs_store", "the_shelf_push")
        }
        assert offered == "docs_lookup"
