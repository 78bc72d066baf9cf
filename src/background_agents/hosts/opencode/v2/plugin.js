// OpenCode 2's plugin: its hooks, events and tools, handed to the service and back. Loaded once per
// location, in the server's process. No policy lives here, nothing waits at the start, and nothing
// is thrown into OpenCode but what a model is to read.

import { MARK, Service, TOOLS } from "../service.js"
import { concerns, isDetail, lean, sessionOf } from "./events.js"
import { server } from "./server.js"
import { Writing } from "../writing.js"
import { shells } from "./shells.js"

// What nobody gets who is not known to be a background agent.
const CHILDREN_ONLY = Object.keys(TOOLS).filter((name) => TOOLS[name].children_only)

// Background agents get these whatever their rules say of other tools; many deny all but some.
const READING = "read"

// How the message begins that stands for everything before a compaction.
const CHECKPOINT = "<conversation-checkpoint>"

class Location {
  number = undefined // once the service knows of it
  directory = undefined
  attaching = undefined
  asked = new Map()
  closed = new AbortController()

  constructor(service, context) {
    this.service = service
    this.context = context
    this.writing = new Writing(service, (hook, params) => this.ask(hook, params))
  }

  /** Return its number; tried anew by each call of a tool until our own server is found. */
  attached() {
    return (this.attaching ??= this.attach().catch((error) => {
      this.attaching = undefined
      throw error
    }))
  }

  async attach() {
    const { url } = await server.found()
    const { directory } = this.context.location ?? (await this.context.agent.list({})).location
    if (this.closed.signal.aborted) throw new Error("The project was closed; try again.")
    const about = { directory, base_url: url, argv: server.argv(), line: 2, version: this.context.app?.version ?? "" }
    this.directory = directory
    // Without it a request is about the folder that the server was started in: a managed one's is its
    // user's home.
    const own = { "x-opencode-directory": encodeURIComponent(directory) }
    const fetch = (request) => server.fetch({ ...request, headers: { ...own, ...request.headers } })
    return (this.number = this.service.attach(about, fetch))
  }

  close() {
    this.closed.abort()
    for (const { resolve } of this.asked.values()) resolve(false)
    if (this.number !== undefined) this.service.detach(this.number)
  }

  ask(hook, params) {
    return this.number === undefined ? undefined : this.service.ask(this.number, hook, params)
  }

  // Tools

  async execute(tool, args, context) {
    const call = { ...context, callID: callOf(context) }
    const number = await this.attached() // what it throws the model reads
    let answer = await this.service.run(number, tool, args, call)
    if (answer.ask) {
      if (!(await this.permitted(answer.ask, call))) throw new Error(`${answer.output} It was refused.`)
      answer = await this.service.run(number, tool, args, call, answer.ask.permission)
    }
    return { content: answer.output, metadata: { ...answer.metadata, title: answer.title } }
  }

  // Whether OpenCode's rules, or its user whom they want to be asked, say yes.
  async permitted({ permission, patterns, always, metadata }, { sessionID, messageID, callID, agent }) {
    const id = `per_${crypto.randomUUID().replaceAll("-", "")}`
    const source = { type: "tool", messageID, callID }
    const body = { id, action: permission, resources: patterns, save: always, metadata, source, agent }
    const path = `/api/session/${sessionID}/permission`
    const reply = new Promise((resolve) => this.asked.set(id, { sessionID, resolve }))
    try {
      const response = await server.fetch({ method: "POST", path, body })
      const effect = (await response.json()).data?.effect
      if (effect !== "ask") return effect === "allow"
      const answer = await reply
      // A call that was interrupted is not told; nobody should be asked on its behalf any more.
      if (answer === undefined) await server.fetch({ method: "POST", path: `${path}/${id}/reply`, body: { reply: "reject" } })
      return answer === true
    } finally {
      this.asked.delete(id)
    }
  }

  // Events

  async listen() {
    for await (const event of this.context.event.subscribe({ signal: this.closed.signal })) {
      try {
        this.hear(event)
      } catch {
        // One that cannot be read is one that is not known here.
      }
    }
  }

  // Those of all locations come; some name none, and may be anybody's.
  hear(event) {
    if (event.location && event.location.directory !== this.directory) return
    shells.hear(event)
    this.settle(event)
    if (this.number === undefined || !concerns(event)) return
    const isFollowed = this.service.followed.has(sessionOf(event))
    if (isFollowed || !isDetail(event)) this.service.tell(this.number, event.type, lean(event, isFollowed), !event.location)
  }

  settle({ type, data }) {
    if (type === "permission.replied") this.asked.get(data.requestID)?.resolve(data.reply !== "reject")
    if (type === "session.tool.failed") this.writing.after(data.sessionID, callOf(data), [], true)
    if (type.startsWith("session.execution.") && type !== "session.execution.started") this.writing.rests(data.sessionID)
    if (type !== "session.execution.interrupted") return
    for (const { sessionID, resolve } of this.asked.values()) if (sessionID === data.sessionID) resolve(undefined)
  }

  // Hooks

  async beforeStep(event) {
    if ((event.kind ?? "primary") !== "primary") return // titles and summaries are OpenCode's own
    const tools = Object.keys(event.tools)
    const checkpoint = event.messages.findLast((message) => textOf(message).startsWith(CHECKPOINT))?.id
    const told = await this.ask("context", { session: event.sessionID, tools, checkpoint })
    for (const name of told?.hide ?? CHILDREN_ONLY) delete event.tools[name]
    if (told?.system) append(event.system, told.system)
  }

  async beforeSummary(event) {
    const carried = await this.ask("compacting", { session: event.sessionID })
    if (carried) append(event.system, carried)
  }

  async beforeTool(event) {
    const { tool, sessionID, messageID, agent, input } = event
    if (this.number !== undefined) await this.service.mayCall(this.number, sessionID, messageID)
    if (tool === "shell") {
      const mark = (await this.ask("shell", { session: sessionID })) ?? "unknown"
      shells.expect(callOf(event), sessionID, mark)
    }
    await this.writing.before(sessionID, callOf(event), tool, input)
    if (tool !== "subagent") return
    const refusal = await this.ask("task", { session: sessionID, call: callOf(event), agent: String(input?.agent), by: agent })
    if (refusal) throw new Error(refusal)
  }

  async afterTool(event) {
    const { files } = event.result?.output ?? {}
    await this.writing.after(event.sessionID, callOf(event), Array.isArray(files) ? files : [], event.status === "error")
  }
}

// A released OpenCode 2 names it differently.
const callOf = ({ callID, id }) => callID ?? id

const textOf = ({ content }) => (typeof content === "string" ? content : (content?.[0]?.text ?? ""))

// Not as an entry of its own: not every provider takes a second system message.
function append(system, text) {
  const last = system.at(-1)
  if (last) system[system.length - 1] = { ...last, text: `${last.text}\n\n${text}` }
  else system.push({ type: "text", text })
}

// What one of them cannot do is missing, and nothing else with it.
async function attempt(register) {
  try {
    await register()
  } catch {
    // This OpenCode has no such hook.
  }
}

/** Return OpenCode 2's half of the plugin. `options.python` is the interpreter that has the package. */
export const setup = (options) => async (context) => {
  // OpenCode 1 boots a part of OpenCode 2 as well, where a plugin can only register agents.
  if (!context.tool?.transform || !context.session?.hook || !context.event?.subscribe) return
  const here = new Location(Service.shared(options), context)
  here.listen().catch(() => {}) // ends with the location
  here.attached().catch(() => {}) // a model that calls a tool is told
  await context.tool.transform((draft) => {
    for (const [name, { description, schema, children_only }] of Object.entries(TOOLS)) {
      const execute = (args, call) => here.execute(name, args, call)
      const options = { codemode: false, permission: children_only ? READING : name }
      draft.add({ name, description, input: schema, options, execute })
    }
  })
  await attempt(() => context.session.hook("context", (event) => here.beforeStep(event)))
  await attempt(() => context.session.hook("compaction", (event) => here.beforeSummary(event)))
  await attempt(() => context.tool.hook("execute.before", (event) => here.beforeTool(event)))
  await attempt(() => context.tool.hook("execute.after", (event) => here.afterTool(event)))
  await attempt(() => context.shell && shells.markBy(context.shell))
  return () => here.close()
}
