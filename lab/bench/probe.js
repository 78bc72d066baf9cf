// What the benchmark adds to OpenCode, of either line: a tool that does nothing and one that only waits,
// to compare with; two that time calls over the bridge and requests to OpenCode's own API; and the
// moments of events inside the process, which no connection delays. PROBE_FILE takes those.
import { appendFileSync, renameSync, writeFileSync } from "node:fs"

// Where the bridge keeps its service.
const SERVICE = Symbol.for("background-agents.service")

// From a call to its durable record, as the service needs it on a quiet machine.
const COMMIT_MS = 2.5

// By message: when it was stored, and who waits for that.
const stored = new Map()
const awaited = new Map()

const stamp = (at_ms, type, session, text) =>
  appendFileSync(process.env.PROBE_FILE, JSON.stringify({ at_ms, type, session, text: text?.slice(0, 40) }) + "\n")

const TOOLS = {
  nothing: { description: "Does nothing.", args: {}, execute: async () => "nothing" },
  waiting: {
    description: "Waits as long as a commit takes.",
    args: {},
    execute: () => new Promise((done) => setTimeout(() => done("waited"), COMMIT_MS)),
  },
  crossings: {
    description: "Times calls over the bridge.",
    args: { tool: { type: "string" }, args: { type: "object" }, count: { type: "number" } },
    execute: crossings,
  },
  counting: { description: "Counts questions of hooks.", args: {}, execute: counting },
  noting: {
    description: "Times the journal of changes.",
    args: { count: { type: "number" }, pause_ms: { type: "number" } },
    execute: noting,
  },
  storing: {
    description: "Times how long a message takes to be stored.",
    args: { count: { type: "number" } },
    execute: storing,
  },
}

// Counts what the service is asked about calls that may write, from the first use of this tool on.
let asked
async function counting() {
  const service = globalThis[SERVICE]
  const call = service.call.bind(service)
  asked = 0
  service.call = (method, params, limit) => {
    if (params.hook === "writing" && params.tool !== "noting") asked++
    return call(method, params, limit)
  }
  return "from now on"
}

// Times what a call that writes a file waits for, by a tool that tells what it writes and by one of
// which nobody knows it. The pause is less than a model takes between two calls.
async function noting({ count, pause_ms }, { sessionID: session, callID, id }) {
  const service = globalThis[SERVICE]
  const while_reading = asked
  const [instance] = service.instances.keys()
  const ask = (hook, params) => service.call("hook", { instance, hook, session, ...params }, 60_000)
  // This tool, too, is one of which nobody knows what it writes, and would be open all the while.
  await ask("wrote", { call: callID ?? id, written: [], failed: false })
  const took_ms = { write: [], bash: [] }
  for (let i = 0; i < count; i++) {
    for (const tool of ["write", "bash"]) {
      await new Promise((resolve) => setTimeout(resolve, pause_ms))
      const call = `noted_${tool}_${i}`
      const content = `${i} `.repeat(500)
      const began = performance.now()
      await ask("writing", { call, tool, args: { filePath: "noted.txt", path: "noted.txt", content } })
      const wait = performance.now() - began
      writeFileSync(`${service.instances.get(instance).about.directory}/noted.txt`, content)
      const again = performance.now()
      await ask("wrote", { call, written: [], failed: false })
      took_ms[tool].push(wait + performance.now() - again)
    }
  }
  const file = `${process.env.PROBE_FILE}.noted`
  writeFileSync(`${file}.new`, JSON.stringify({ took_ms, while_reading }))
  renameSync(`${file}.new`, file)
  return "noted"
}

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

// How a line stores a message that begins nothing: the path, and the body.
const STORE = [
  (session, id) => {
    const parts = [{ id: mint("prt_"), type: "text", text: "It is done.", synthetic: true }]
    return [`/session/${session}/prompt_async`, { messageID: id, noReply: true, agent: "general", parts }]
  },
  (session, id) => [`/api/session/${session}/synthetic`, { id, text: "It is done.", resume: false }],
]
const CREATE = [(parentID) => ["/session", { title: "Stores", parentID }], () => ["/api/session", {}]]
let line = 0

// How long OpenCode takes to store a message: from the request, sent from inside its own
// process, to the event. What any plugin pays for a notice that goes over the API.
async function storing({ count }, { sessionID }) {
  const [{ fetch }] = globalThis[SERVICE].instances.values()
  const post = ([path, body]) => fetch({ method: "POST", path, body })
  const created = await (await post(CREATE[line](sessionID))).json()
  const { id } = created.data ?? created
  const took_ms = []
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50)) // until OpenCode has settled
    const message = mint("msg_")
    const seen = new Promise((resolve) => awaited.set(message, resolve))
    const started = performance.now()
    const accepted = post(STORE[line](id, message))
    took_ms.push((await seen) - started)
    await accepted
  }
  return JSON.stringify({ took_ms, answer: "" })
}

// OpenCode 1 stores a message, and then what it says.
const server = async () => ({
  event: async ({ event: { type, properties } }) => {
    const now = performance.now()
    if (type === "session.idle") stamp(now, "idle", properties.sessionID)
    if (type === "message.updated" && properties.info.role === "user") {
      awaited.get(properties.info.id)?.(now)
      if (!stored.has(properties.info.id)) stored.set(properties.info.id, now)
    }
    if (type !== "message.part.updated" || properties.part.type !== "text") return
    const { messageID, sessionID, text } = properties.part
    if (stored.get(messageID)) stamp(stored.get(messageID), "told", sessionID, text)
    stored.set(messageID, 0)
  },
  tool: TOOLS,
})

async function listen(events) {
  for await (const { type, data } of events) {
    const now = performance.now()
    if (type === "session.execution.succeeded") stamp(now, "idle", data.sessionID)
    if (type !== "session.input.admitted") continue
    awaited.get(data.inputID)?.(now)
    stamp(now, "told", data.sessionID, data.input.data.text)
  }
}

const setup = async (context) => {
  line = 1
  await context.tool.transform((draft) => {
    for (const [name, { description, args, execute }] of Object.entries(TOOLS)) {
      const input = { type: "object", properties: args, required: Object.keys(args) }
      const answer = async (given, call) => ({ content: await execute(given, call) })
      draft.add({ name, description, input, options: { codemode: false }, execute: answer })
    }
  })
  const closed = new AbortController()
  listen(context.event.subscribe({ signal: closed.signal })).catch(() => {}) // ends with the location
  return () => closed.abort()
}

export default { id: "bench-probe", server, setup }
