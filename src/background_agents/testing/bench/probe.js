// What the benchmark adds to OpenCode: a tool that does nothing, to compare with, and the
// moments of events inside the process, which no connection delays. PROBE_FILE takes them.
import { appendFileSync } from "node:fs"

const STAMPED = new Set(["session.idle", "message.updated"])

export const Probe = async () => ({
  event: async ({ event }) => {
    if (!STAMPED.has(event.type)) return
    const { info, sessionID } = event.properties
    const stamp = { at_ms: performance.now(), type: event.type, session: sessionID ?? info?.sessionID, message: info?.id, role: info?.role }
    appendFileSync(process.env.PROBE_FILE, JSON.stringify(stamp) + "\n")
  },
  tool: { nothing: { description: "Does nothing.", args: {}, execute: async () => "nothing" } },
})
