// Tells the service of calls that may write, before and after they run, so that it knows what a
// background agent changed. Nothing is told while nobody is followed, nor of what only reads.

import { createHash } from "node:crypto"
import { TOOLS } from "./service.js"

// Of both lines. Agents that OpenCode itself starts are told of by their own calls.
const READING = new Set([
  "read", "grep", "glob", "list", "lsp", "webfetch", "websearch", "codesearch", "todowrite", "todoread",
  "question", "skill", "task", "subagent", "invalid", "plan_enter", "plan_exit",
])

// A text of an argument; of longer ones the digest is told, which proves as much of a file.
const LONG = 256 * 1024

export class Writing {
  // Calls that have been told of and not ended, with their sessions.
  open = new Map()

  constructor(service, ask) {
    this.service = service
    this.ask = ask
  }

  async before(session, call, tool, args) {
    if (this.service.followed.size === 0 || READING.has(tool) || tool in TOOLS) return
    this.open.set(`${session} ${call}`, session)
    await this.ask("writing", { session, call, tool, args: brief(args) })
  }

  /** `files` is what the tool tells of each file: where, and the patch that it has applied. */
  async after(session, call, files = [], failed = false) {
    if (!this.open.delete(`${session} ${call}`)) return
    const written = files.map(({ file, patch }) => ({ file: String(file), patch: patch?.length < LONG ? patch : "" }))
    await this.ask("wrote", { session, call, written, failed })
  }

  /** What was refused, failed or was aborted runs no hook afterwards; its session does not go on with it. */
  rests(session) {
    for (const [key, whose] of this.open) if (whose === session) this.after(session, key.slice(session.length + 1), [], true)
  }
}

function brief(args) {
  const short = ([name, value]) => [name, value?.length > LONG ? { sha256: digest(String(value)) } : value]
  return Object.fromEntries(Object.entries(args ?? {}).filter(([, value]) => typeof value !== "object").map(short))
}

const digest = (text) => createHash("sha256").update(text).digest("hex")
