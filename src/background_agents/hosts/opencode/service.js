// The bridge's end of the background-agents service, which is a Python process. It spawns that
// process once per OpenCode, carries tool calls, hooks and events to it, and carries its API
// requests back, whichever line of OpenCode this is. Nothing is remembered but which instances
// exist and which sessions that process follows. Frames: JSON-RPC 2.0, one per line, over a
// socket that the process gets as descriptor 3: what is written to a child's stdin leaves Bun
// only when its loop turns next, which was measured at up to 20 ms, and what is written to a
// socket leaves at once.

import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { readLines } from "./lines.js"

// By name: description, schema, children_only, limit_ms.
export const TOOLS = JSON.parse(readFileSync(new URL("./tools.json", import.meta.url), "utf8"))

// A dead service is started again after 0.25 s, then twice as long each time, to 30 s;
// one that has lived for a minute has earned a fresh start.
const BACKOFF_MS = { first: 250, most: 30_000, healthy: 60_000 }

// Every step of every session passes through hooks. An answer takes about a millisecond; a
// service that starts or hangs is not waited for longer than a person would notice, and
// OpenCode then goes on as if we were not there.
const HOOK_LIMIT_MS = 300

// A tool whose session is near its limit waits for a word on it: a millisecond, or until the run has
// ended of which this was the last answer, or a service has started that died meanwhile.
const GUARD_LIMIT_MS = 15_000

// How long a service may take to end by itself once its socket is closed.
const GRACE_MS = 3_000

// How the environment of a model's shell tells that it is one.
export const MARK = "BACKGROUND_AGENTS_SHELL"

// Whether OpenCode itself was started from one; what is put there later is meant for shells. Whoever
// happened to start the server that all terminals share is nobody to those who use it.
if (process.argv.includes("--service")) delete process.env[MARK]
export const STARTED_FROM = process.env[MARK]

// Words of OpenCode's command line are followed by a prompt of any length.
export const shortened = (argv) => argv.map((word) => word.slice(0, 20))

// OpenCode loads a plugin once per directory, and may load its file more than once.
const KEY = Symbol.for("background-agents.service")

export class Service {
  instances = new Map()
  pending = new Map()
  followed = new Set()
  guarded = new Set()
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

  /** Return the one of this process. `options.python` is the interpreter that has the package. */
  static shared(options) {
    return (globalThis[KEY] ??= new Service(options))
  }

  /** Tell of a directory that was opened; `fetch` makes a request of the process there. */
  attach(directory, fetch) {
    const instance = ++this.lastNumber
    const about = { instance, ...directory }
    this.instances.set(instance, { about, fetch })
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
    if (message.method === "guard") return void this.guarded[message.params.on ? "add" : "delete"](message.params.session)
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

  async fetch({ instance, ...request }) {
    const found = this.instances.get(instance)
    if (!found) throw new Error(`instance ${instance} was disposed`)
    const response = await found.fetch(request)
    return { status: response.status, body: await response.text() }
  }

  /** Carry a model's call of a tool; what keeps it from an answer is the answer. */
  async run(instance, tool, args, call, granted) {
    const params = { instance, tool, args, session: call.sessionID, message: call.messageID, call: call.callID, agent: call.agent, granted }
    try {
      return await this.call("tool", params, TOOLS[tool].limit_ms)
    } catch (error) {
      return { title: "", output: error.message, metadata: {} }
    }
  }

  /** Ask what a hook has to say; undefined if nobody knows in time. */
  async ask(instance, hook, params) {
    if (!this.child) return undefined // it is started behind, or by the next call of a model
    try {
      return await this.call("hook", { instance, hook, ...params }, HOOK_LIMIT_MS)
    } catch {
      return undefined // nothing that OpenCode should stop for
    }
  }

  /** Throw what the model is to read if a session may use no tool any more; costs others nothing. */
  async mayCall(instance, session, answer) {
    if (!this.guarded.has(session)) return
    const hook = { instance, hook: "guard", session, message: answer }
    const refusal = await this.call("hook", hook, GUARD_LIMIT_MS).catch(() => undefined)
    if (refusal) throw new Error(refusal)
  }

  /** Tell of an event. One that comes from `nowhere` in particular comes to each instance. */
  tell(instance, type, properties, nowhere = false) {
    this.send({ method: "event", params: { instance, type, properties, nowhere } })
  }
}

/** Return a short name of something, equal for what is equal; the adapter makes the same of JSON. */
export const identity = (...parts) =>
  createHash("sha256").update(parts.map((one) => JSON.stringify(one)).join("\n")).digest("hex").slice(0, 16)

// What Python obeys in spite of -E: where a user's own packages are, which `install` noted if
// background-agents is there, and on macOS which program was started.
function environment({ userbase }) {
  const { PYTHONUSERBASE, PYTHONEXECUTABLE, __PYVENV_LAUNCHER__, [MARK]: _, ...env } = process.env
  if (userbase) env.PYTHONUSERBASE = userbase
  if (STARTED_FROM) env[MARK] = STARTED_FROM
  return env
}
