// The bridge between OpenCode and the background-agents service, which is a Python
// process. It spawns that process once per OpenCode, carries tool calls and events to
// it, and carries its API requests into OpenCode. No policy lives here, and nothing is
// remembered but which instances exist, which sessions that process follows, and which calls
// may start a shell. Frames: JSON-RPC 2.0, one per line, over a socket that the process gets
// as descriptor 3: what is written to a child's stdin leaves Bun only when its loop turns
// next, which was measured at up to 20 ms, and what is written to a socket leaves at once.

import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"

const TOOLS = JSON.parse(readFileSync(new URL("./tools.json", import.meta.url), "utf8"))

// What Python follows; everything else stays in OpenCode.
const EVENTS = new Set([
  "session.created", "session.updated", "session.deleted", "session.status", "session.idle",
  "session.error", "message.updated", "message.removed", "message.part.updated",
  "message.part.removed", "message.part.delta", "permission.asked", "permission.replied",
  "question.asked", "question.replied", "question.rejected",
])

// Of these there are very many, and they concern only who follows the session.
const DETAILS = new Set(["message.part.updated", "message.part.removed", "message.part.delta"])

// A dead service is started again after 0.25 s, then twice as long each time, to 30 s;
// one that has lived for a minute has earned a fresh start.
const BACKOFF_MS = { first: 250, most: 30_000, healthy: 60_000 }

// Every step of every session passes through hooks. An answer takes about a millisecond; a
// service that starts or hangs is not waited for longer than a person would notice, and
// OpenCode then goes on as if we were not there.
const HOOK_LIMIT_MS = 300

// Of an argument of a tool call; far less is ever shown.
const WORDS = 1_000

// How long a service may take to end by itself once its socket is closed.
const GRACE_MS = 3_000

// Calls of the shell that wait for their turn or their permission; nobody has so many.
const MOST_CALLS = 1_000

class Service {
  instances = new Map()
  pending = new Map()
  followed = new Set()
  // All of them, for good: as Bun forgets a child that has ended, it closes the number of the
  // child's descriptor 3 a second time, and OpenCode loses whatever has that number by then.
  children = []
  lastNumber = 0
  child = undefined
  socket = undefined
  backoff = BACKOFF_MS.first
  lastWords = ""
  timer = undefined
  ending = false

  constructor(options) {
    this.options = options
  }

  attach(context) {
    const instance = ++this.lastNumber
    const config = context.client._client.getConfig()
    const about = {
      instance,
      directory: context.directory,
      // The client's own base URL is wrong on 1.15, where a server listens elsewhere.
      base_url: String(context.serverUrl ?? config.baseUrl ?? ""),
      // Which command of OpenCode this is; it may be followed by a prompt of any length.
      argv: process.argv.slice(2).map((word) => word.slice(0, 20)),
    }
    this.instances.set(instance, { about, config })
    if (this.child) this.send({ method: "attach", params: about })
    else if (!this.timer && !this.ending) this.start()
    return instance
  }

  detach(instance) {
    this.instances.delete(instance)
    this.send({ method: "detach", params: { instance } })
    if (this.instances.size === 0) this.stop()
  }

  start() {
    this.timer = undefined
    // Without -P a random.py in the project's folder would stand in for Python's own, and without
    // -E the shell's settings for the project's Python (PYTHONPATH, PYTHONHOME) would be ours.
    const [command, ...args] = this.options.command ?? [this.options.python, "-E", "-P", "-m", "background_agents", "bridge"]
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe", "pipe"], env: environment(this.options) })
    const started = Date.now()
    this.children.push(child)
    this.child = child
    this.socket = child.stdio[3]
    this.lastWords = ""
    let ended = false
    const onEnd = (why) => {
      if (ended) return
      ended = true
      this.ended(child, why, Date.now() - started)
    }
    child.on("error", (error) => onEnd(error.message))
    child.on("exit", (code, signal) => onEnd(signal ? `signal ${signal}` : `exit code ${code}`))
    this.socket?.on("error", () => {}) // the exit tells what there is to tell
    child.stderr.on("data", (data) => { this.lastWords = (this.lastWords + data).slice(-2000) })
    if (this.socket) readLines(this.socket, (line) => this.receive(child, line))
    child.unref()
    this.followed.clear()
    for (const { about } of this.instances.values()) this.send({ method: "attach", params: about })
    // Calls that came while there was no service.
    for (const { message } of this.pending.values()) this.send(message)
  }

  stop() {
    const child = this.child
    this.child = undefined
    clearTimeout(this.timer)
    this.timer = undefined
    if (!child) return
    this.refuse("The project was closed; whether the call took effect is unknown, so look with delegation_list() before you repeat it.")
    this.socket?.end()
    const kill = setTimeout(() => child.kill("SIGKILL"), GRACE_MS)
    kill.unref?.()
    // The next one starts only now: it takes over what no living process owns.
    this.ending = true
    child.on("exit", () => {
      clearTimeout(kill)
      this.ending = false
      if (this.instances.size > 0) this.start()
    })
  }

  ended(child, why, livedMs) {
    if (this.child !== child) return
    this.child = undefined
    const words = this.lastWords.trim().split("\n").at(-1)
    const sentence = `The background-agents service is not running (${why}${words ? `: ${words}` : ""}); it is started again by itself, so try once more in a moment. If that does not help, run: background-agents install`
    this.refuse(sentence)
    if (this.instances.size === 0) return
    if (livedMs > BACKOFF_MS.healthy) this.backoff = BACKOFF_MS.first
    this.timer = setTimeout(() => this.start(), this.backoff)
    this.timer.unref?.()
    this.backoff = Math.min(this.backoff * 2, BACKOFF_MS.most)
  }

  refuse(sentence) {
    for (const { reject } of this.pending.values()) reject(new Error(sentence))
    this.pending.clear()
  }

  send(message) {
    if (this.child) this.socket?.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n")
  }

  // A model's call does not wait for a restart that is due later: pauses are for those that
  // nobody asked for. One that ends just now is waited for.
  startNow() {
    if (this.instances.size === 0) return this.refuse("The project was closed; try again.")
    if (this.ending) return
    clearTimeout(this.timer)
    this.start()
  }

  call(method, params, limitMs) {
    return new Promise((resolve, reject) => {
      const id = ++this.lastNumber
      const limit = setTimeout(() => {
        this.pending.delete(id)
        reject(new Error("The background-agents service does not answer; whether the call took effect is unknown, so look with delegation_list() before you repeat it."))
      }, limitMs)
      const settle = (done) => (value) => { clearTimeout(limit); done(value) }
      const message = { id, method, params }
      if (this.child) this.send(message)
      this.pending.set(id, { message, resolve: settle(resolve), reject: settle(reject) })
      if (!this.child) this.startNow()
    })
  }

  receive(child, line) {
    if (this.child !== child) return
    let message
    try {
      message = JSON.parse(line)
    } catch {
      return this.send({ id: null, error: { code: -32700, message: "not JSON" } })
    }
    if (message.method === "follow") return void this.followed.add(message.params.session)
    if (message.method === "release") return void this.followed.delete(message.params.session)
    if (message.method) return void this.answer(message)
    const waiting = this.pending.get(message.id)
    this.pending.delete(message.id)
    if (message.error) waiting?.reject(new Error(message.error.message))
    else waiting?.resolve(message.result)
  }

  async answer({ id, method, params }) {
    try {
      if (method !== "fetch") throw new Error(`there is no method ${method}`)
      this.send({ id, result: await this.fetch(params) })
    } catch (error) {
      this.send({ id, error: { code: -32603, message: String(error?.message ?? error) } })
    }
  }

  async fetch({ instance, method, path, body, over_http, headers }) {
    const { about, config } = this.instances.get(instance) ?? {}
    if (!config) throw new Error(`instance ${instance} was disposed`)
    const all = new Headers(config.headers)
    for (const [name, value] of Object.entries(headers ?? {})) all.set(name, value)
    const request = new Request(new URL(path, over_http ? about.base_url : config.baseUrl), {
      method,
      headers: all,
      body: body == null ? undefined : JSON.stringify(body),
    })
    const response = await (over_http ? globalThis.fetch : config.fetch)(request)
    return { status: response.status, body: await response.text() }
  }
}

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
    const state = { status, title, error, time, input: cut, metadata: { exit: metadata?.exit } }
    return { ...properties, part: { ...properties.part, state } }
  }
  return properties
}

function readLines(stream, onLine) {
  const decoder = new TextDecoder()
  let rest = []
  stream.on("data", (chunk) => {
    const lines = decoder.decode(chunk, { stream: true }).split("\n")
    rest.push(lines[0])
    for (let i = 1; i < lines.length; i++) {
      onLine(rest.join(""))
      rest = [lines[i]]
    }
  })
}

// What Python obeys in spite of -E: where a user's own packages are, which `install` noted if
// background-agents is there, and on macOS which program was started.
function environment({ userbase }) {
  const { PYTHONUSERBASE, PYTHONEXECUTABLE, __PYVENV_LAUNCHER__, ...env } = process.env
  return userbase ? { ...env, PYTHONUSERBASE: userbase } : env
}

// Hides a tool from every agent; the sessions that get it have a rule of their own. An agent's
// permissions come after the common ones, so that each needs it, and of one list the last counts.
function hide(config, tool) {
  const agents = Object.values(config.agent ?? {}).filter((agent) => agent?.permission)
  for (const place of [config, ...agents]) {
    const rules = typeof place.permission === "string" ? { "*": place.permission } : place.permission
    place.permission = { ...rules, [tool]: "deny" }
  }
}

// OpenCode loads a plugin once per directory, and may load this file more than once.
const KEY = Symbol.for("background-agents.service")

/** Return the plugin function. `options.python` is the interpreter that has the package. */
export const connect = (options) => async (context) => {
  const service = (globalThis[KEY] ??= new Service(options))
  const instance = service.attach(context)

  const run = async (tool, args, call, granted) => {
    const params = { instance, tool, args, session: call.sessionID, message: call.messageID, call: call.callID, agent: call.agent, granted }
    try {
      return await service.call("tool", params, TOOLS[tool].limit_ms)
    } catch (error) {
      return { title: "", output: error.message, metadata: {} }
    }
  }

  const execute = (tool) => async (args, call) => {
    const answer = await run(tool, args, call)
    if (!answer.ask) return answer
    const asking = call.ask(answer.ask)
    // 1.15 gives plugins something that only OpenCode itself can wait for.
    if (typeof asking?.then !== "function") return answer
    await asking // what a refusal throws ends the turn, as for OpenCode's own tools
    return await run(tool, args, call, answer.ask.permission)
  }

  const ask = async (hook, params) => {
    if (!service.child) return undefined // it is started behind, or by the next call of a model
    try {
      return await service.call("hook", { instance, hook, ...params }, HOOK_LIMIT_MS)
    } catch {
      return undefined // nothing that OpenCode should stop for
    }
  }

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
      env.BACKGROUND_AGENTS_SHELL = (await ask("shell", { session: sessionID })) ?? "unknown"
    },
    "tool.execute.before": async ({ tool, sessionID, callID }, { args }) => {
      if (tool === "bash") mayStart(callID)
      if (tool !== "task") return
      const refusal = await ask("task", { session: sessionID, call: callID, agent: String(args?.subagent_type) })
      if (refusal) throw new Error(refusal)
    },
    dispose: async () => service.detach(instance),
    event: async ({ event }) => {
      if (!EVENTS.has(event.type)) return
      const session = event.properties.sessionID ?? event.properties.part?.sessionID
      if (DETAILS.has(event.type) && !service.followed.has(session)) return
      service.send({ method: "event", params: { instance, type: event.type, properties: lean(event) } })
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
