// OpenCode 1's plugin: its hooks, events and tools, handed to the service and back. No policy lives
// here, and nothing is remembered but which calls may start a shell.

import { MARK, Service, TOOLS, identity, shortened } from "../service.js"
import { Writing } from "../writing.js"

// What Python follows; everything else stays in OpenCode.
const EVENTS = new Set([
  "session.created", "session.updated", "session.deleted", "session.status", "session.idle",
  "session.error", "message.updated", "message.removed", "message.part.updated",
  "message.part.removed", "message.part.delta", "permission.asked", "permission.replied",
  "question.asked", "question.replied", "question.rejected",
])

// Of these there are very many, and they concern only who follows the session.
const DETAILS = new Set(["message.part.updated", "message.part.removed", "message.part.delta"])

// Of an argument of a tool call; far less is ever shown.
const WORDS = 1_000

// Calls of the shell that wait for their turn or their permission; nobody has so many.
const MOST_CALLS = 1_000

// What an event says, without what nobody reads: whole files in the diffs of messages and of what
// was undone, in edits that are asked for and in tools' arguments, and what tools have printed.
function lean({ type, properties }) {
  if (type === "session.updated") {
    const { summary, revert, ...info } = properties.info
    return { ...properties, info: revert ? { ...info, revert: { messageID: revert.messageID } } : info }
  }
  if (type === "message.updated") {
    const { summary, ...info } = properties.info
    return { ...properties, info }
  }
  if (type === "permission.asked") {
    const { metadata, ...asked } = properties
    return asked
  }
  if (type === "message.part.updated" && properties.part.type === "tool") {
    const { status, title, error, time, input, metadata } = properties.part.state
    const words = Object.entries(input ?? {}).filter(([, value]) => typeof value === "string")
    const cut = Object.fromEntries(words.map(([name, value]) => [name, value.slice(0, WORDS)]))
    const state = { status, title, error, time, input: cut, metadata: { exit: metadata?.exit }, fingerprint: fingerprint(properties.part.state) }
    return { ...properties, part: { ...properties.part, state } }
  }
  return properties
}

// Equal for equal calls with equal answers; made here, since only their beginnings leave OpenCode.
const fingerprint = ({ status, input, output, error }) =>
  status === "completed" ? identity(input, output) : status === "error" ? identity(input, error) : undefined

// What a tool says that it wrote. (1.15.4 has no `filediff`, and calls a patch `diff`.)
const written = (metadata) =>
  metadata?.files?.map((one) => ({ file: one.filePath ?? one.file, patch: one.patch ?? one.diff })) ??
  (metadata?.filediff ? [{ file: metadata.filediff.file, patch: metadata.filediff.patch ?? metadata.diff }] : [])

// Hides a tool from every agent; the sessions that get it have a rule of their own. An agent's
// permissions come after the common ones, so that each needs it, and of one list the last counts.
function hide(config, tool) {
  const agents = Object.values(config.agent ?? {}).filter((agent) => agent?.permission)
  for (const place of [config, ...agents]) {
    const rules = typeof place.permission === "string" ? { "*": place.permission } : place.permission
    place.permission = { ...rules, [tool]: "deny" }
  }
}

// Requests go in by the plugin's client, which needs no port, or over HTTP.
const requester = (config, base_url) => ({ method, path, body, over_http, headers }) => {
  const all = new Headers(config.headers)
  for (const [name, value] of Object.entries(headers ?? {})) all.set(name, value)
  const request = new Request(new URL(path, over_http ? base_url : config.baseUrl), {
    method,
    headers: all,
    body: body == null ? undefined : JSON.stringify(body),
  })
  return (over_http ? globalThis.fetch : config.fetch)(request)
}

/** Return the plugin function. `options.python` is the interpreter that has the package. */
export const connect = (options) => async (context) => {
  const service = Service.shared(options)
  const config = context.client._client.getConfig()
  // The client's own base URL is wrong on 1.15, where a server listens elsewhere.
  const base_url = String(context.serverUrl ?? config.baseUrl ?? "")
  const about = { directory: context.directory, base_url, argv: shortened(process.argv.slice(2)) }
  const instance = service.attach(about, requester(config, base_url))

  const execute = (tool) => async (args, call) => {
    const answer = await service.run(instance, tool, args, call)
    if (!answer.ask) return answer
    const asking = call.ask(answer.ask)
    // 1.15 gives plugins something that only OpenCode itself can wait for.
    if (typeof asking?.then !== "function") return answer
    await asking // what a refusal throws ends the turn, as for OpenCode's own tools
    return await service.run(instance, tool, args, call, answer.ask.permission)
  }

  const ask = (hook, params) => service.ask(instance, hook, params)
  const writing = new Writing(service, ask)

  // Of models, that may start a shell. One that is refused never does, and is forgotten later.
  const calls = new Set()
  const mayStart = (callID) => {
    calls.add(callID)
    if (calls.size > MOST_CALLS) calls.delete(calls.values().next().value)
  }

  return {
    config: async (config) => {
      for (const [name, tool] of Object.entries(TOOLS)) if (tool.children_only) hide(config, name)
    },
    "experimental.chat.system.transform": async ({ sessionID }, { system }) => {
      if (!sessionID || !system.length) return
      const rules = await ask("system", { session: sessionID, system: system[0] })
      // Not as an entry of its own: that becomes a second system message, which some
      // providers' chat templates refuse.
      if (rules) system.push(`${system.pop()}\n\n${rules}`)
    },
    "experimental.session.compacting": async ({ sessionID }, { context }) => {
      const carried = await ask("compacting", { session: sessionID })
      if (carried) context.push(carried)
    },
    // Marks what a model starts. A shell that OpenCode's user opens (`!`, a terminal) is no call.
    "shell.env": async ({ sessionID, callID }, { env }) => {
      if (!calls.delete(callID)) return
      env[MARK] = (await ask("shell", { session: sessionID })) ?? "unknown"
    },
    "tool.execute.before": async ({ tool, sessionID, callID }, { args }) => {
      await service.mayCall(instance, sessionID)
      if (tool === "bash") mayStart(callID)
      await writing.before(sessionID, callID, tool, args)
      if (tool !== "task") return
      const refusal = await ask("task", { session: sessionID, call: callID, agent: String(args?.subagent_type) })
      if (refusal) throw new Error(refusal)
    },
    "tool.execute.after": async ({ sessionID, callID }, output) => {
      await writing.after(sessionID, callID, written(output?.metadata))
    },
    dispose: async () => service.detach(instance),
    event: async ({ event }) => {
      if (!EVENTS.has(event.type)) return
      const { part } = event.properties
      if (part?.state?.status === "error") writing.after(part.sessionID, part.callID, [], true)
      if (event.type === "session.idle") writing.rests(event.properties.sessionID)
      const session = event.properties.sessionID ?? event.properties.part?.sessionID
      if (DETAILS.has(event.type) && !service.followed.has(session)) return
      service.tell(instance, event.type, lean(event))
    },
    // Without this every argument would reach the model as required.
    "tool.definition": async ({ toolID }, output) => {
      const tool = TOOLS[toolID]
      if (!tool) return
      output.description = tool.description
      output.jsonSchema = tool.schema
    },
    tool: Object.fromEntries(
      Object.entries(TOOLS).map(([name, { description, schema }]) => [
        name,
        { description, args: schema.properties, execute: execute(name) },
      ]),
    ),
  }
}
