"""The bridge in the Bun that OpenCode is made of, which it must take no descriptor from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.harness.bridge import BRIDGE
from lab.harness.home import find_binary

pytestmark = pytest.mark.opencode

LIMIT_S = 60

SCRIPT = """
import {{ connect }} from {bridge}
import {{ openSync, fstatSync }} from "node:fs"
import {{ setTimeout }} from "node:timers/promises"

const soon = () => setTimeout(10)

const client = {{ _client: {{ getConfig: () => ({{ baseUrl: "http://localhost" }}) }} }}
await connect({{ command: ["sleep", "60"] }})({{ client, directory: "/", worktree: "/" }})
const service = globalThis[Symbol.for("background-agents.service")]

const opened = []
for (let death = 0; death < 2; death++) {{
  const {{ pid }} = service.child
  process.kill(pid, "SIGKILL")
  while (service.child?.pid === pid) await soon()
  // These get the numbers that were free, the dead child's among them.
  for (let count = 0; count < 8; count++) opened.push(openSync("/dev/null"))
  while (!service.child) await soon()
  for (let turn = 0; turn < 10; turn++) {{
    Bun.gc(true)
    await soon()
  }}
}}
const lost = opened.filter((number) => {{
  try {{ fstatSync(number) }} catch {{ return true }}
}})
console.log(JSON.stringify(lost))
service.child?.kill("SIGKILL")
process.exit()
"""


def test_a_service_that_died_takes_no_descriptor_of_opencode_with_it(tmp_path: Path) -> None:
    """Bun 1.3 closes one twice; the second time it may be a file, or the end of a pipe to git."""
    script = tmp_path / "script.mjs"
    script.write_text(SCRIPT.format(bridge=json.dumps(str(BRIDGE))), "utf-8")
    ran = subprocess.run(
        [find_binary().path, "run", str(script)],
        env={**os.environ, "BUN_BE_BUN": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == []
