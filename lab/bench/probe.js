// What the benchmark adds to OpenCode: a tool that does nothing, to compare with; two that
// time calls over the bridge and requests to OpenCode's own API; and the moments of events
// inside the process, which no connection delays. PROBE_FILE takes those.
import { appendFileSync } from "node:fs"

const STAMPED = new Set(["session.created", "session.idle", "message.updated"])

// Where the bridge keeps its service.
const SERVICE = Symbol.for("background-agents.service")

async function crossings({ tool, args, count }, { sessionID }) {
  const service = globalThis[SERVICE]
  const [instance] = service.instances.keys()
  const took_ms = []
  let answer = ""
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    const call = service.call("tool", { instance, tool, args, session: sessionID, message: "" }, 60_000)
    answer = await call.then((found) => found.output, (error) => error.message)
    took_ms.push(Math.round((performance.now() - started) * 1e4) / 1e4)
  }
  return JSON.stringify({ took_ms, answer })
}

// Ids as OpenCode sorts them: milliseconds and a counter, then anything.
let counter = 0
const mint = (prefix) =>
  prefix + (BigInt(Date.now()) * 4096n + BigInt(++counter)).toString(16).slice(-12) + "0".repeat(14)

// How long OpenCode takes to store a message: from the request, sent from inside its own
// process, to the event. What any plugin pays for a notice that goes over the API.
const storing = (config, awaited) => async ({ count }, { sessionID }) => {
  const headers = new Headers(config.headers)
  headers.set("content-type", "application/json")
  const post = (path, body) =>
    config.fetch(new Request(new URL(path, config.baseUrl), { method: "POST", headers, body: JSON.stringify(body) }))
  const { id } = await (await post("/session", { title: "Stores", parentID: sessionID })).json()
  const took_ms = []
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50)) // until OpenCode has settled
    const messageID = mint("msg_")
    const seen = new Promise((resolve) => awaited.set(messageID, resolve))
    const parts = [{ id: mint("prt_"), type: "text", text: "It is done.", synthetic: true }]
    const started = performance.now()
    const accepted = post(`/session/${id}/prompt_async`, { messageID, noReply: true, agent: "general", parts })
    took_ms.push((await seen) - started)
    await accepted
  }
  return JSON.stringify({ took_ms, answer: "" })
}

const awaited = new Map()

export const Probe = async (context) => ({
  event: async ({ event }) => {
    awaited.get(event.properties.info?.id)?.(performance.now())
    if (!STAMPED.has(event.type)) return
    const { info, sessionID } = event.properties
    const isSession = event.type === "session.created"
    const stamp = {
      at_ms: performance.now(),
      type: event.type,
      session: isSession ? info.id : (sessionID ?? info?.sessionID),
      parent: isSession ? info.parentID : undefined,
      title: isSession ? info.title : undefined,
      message: isSession ? undefined : info?.id,
      role: info?.role,
    }
    appendFileSync(process.env.PROBE_FILE, JSON.stringify(stamp) + "\n")
  },
  tool: {
    nothing: { description: "Does nothing.", args: {}, execute: async () => "nothing" },
    crossings: {
      description: "Times calls over the bridge.",
      args: { tool: { type: "string" }, args: { type: "object" }, count: { type: "number" } },
      execute: crossings,
    },
    storing: {
      description: "Times how long a message takes to be stored.",
      args: { count: { type: "number" } },
      execute: storing(context.client._client.getConfig(), awaited),
    },
  },
})
