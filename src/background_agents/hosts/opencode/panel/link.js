// A panel's link to the service that has its directory open: it finds that service among the
// sockets of this user, watches it, and finds the next one when it goes. What is shown comes ready
// from the service; nothing here knows a screen. Shared by the panels of both lines of OpenCode,
// and loaded into their screens: nothing may throw out of a timer or a socket.

import { existsSync, readdirSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { Connection, GONE, lost } from "./connection.js"

// Refusals of the service: it does not have the directory open, or is older than this file.
const NOT_HERE = -32002
const NO_METHOD = -32601

// Between two looks for a service: a killed one is replaced within 2 s.
const PACE_MS = 1_000

// A service answers these within milliseconds; one that hangs is as good as none.
const LOOK_LIMIT_MS = 3_000

// Whether it still answers; without this a panel would go on showing what was true once.
const PULSE_MS = 10_000

// How long nothing is said of a missing service: at first OpenCode starts, later a killed one is replaced.
const PATIENCE_MS = { start: 20_000, later: 3_000 }

// A redraw costs the terminal 40 ms, whatever the service sends.
const REDRAW_MS = 1_000

// Whatever a service of another version says, a screen gets words: anything else in an element
// of text was seen to stop OpenCode's drawing for good.
const words = (one) => (typeof one === "string" ? one : "")
const list = (one) => (Array.isArray(one) ? one : [])
const fitting = ({ counter, head, lines, more, note }) => ({
  counter: words(counter), head: words(head), more: words(more), note: words(note),
  lines: list(lines).map((line) => list(line).map((span) => ({ text: words(span?.text), tone: words(span?.tone) }))),
})

/** What is shown before a service has said anything. */
export const NOTHING = fitting({})

const OLD = "The background-agents service is older than this panel: restart OpenCode."

/** Return where the service keeps its sockets. */
export const socketsFolder = (env = process.env) =>
  join(env.XDG_DATA_HOME || join(env.HOME || homedir(), ".local", "share"), "opencode", "delegations", "sockets")

export class Link {
  connection = undefined
  closed = false
  session = ""
  shown = NOTHING
  drawn = 0

  /**
   * `show` gets what is to be shown, `news` what a person should be told. `where` has `directory()`, which
   * is empty as long as it is not known, `pid` of the OpenCode whose service is preferred, `most` delegations.
   */
  constructor(where, { show, news = () => {}, log = () => {}, folder = socketsFolder() }) {
    Object.assign(this, { where, show, news, log, folder })
    this.run().catch((error) => log(`the panel has stopped: ${error.stack ?? error}`))
  }

  /** Show another session from now on; the whole project with an empty one. */
  watch(session) {
    if (session === this.session) return
    this.session = session
    if (this.connection) this.subscribe(this.connection)
  }

  /** Return the rows of all delegations of the project; the watched session's come first. */
  async entries() {
    const found = await this.call("entries", { directory: this.where.directory(), session: this.session })
    return list(found).filter((one) => words(one?.id)).map((one) => ({ ...one, actions: list(one.actions), owner: words(one.owner) }))
  }

  /** Return a part of what a delegation left: its text, and where the next part begins. */
  async part(name, { project, id }, offset) {
    const { text, next_offset } = await this.call(name, { project, id, offset })
    return { text: words(text), next: next_offset > offset ? next_offset : undefined }
  }

  /** Act on a delegation, by the service that runs it; what that refuses is thrown, in words for people. */
  async act(one, method, params) {
    if (method === "delegate") return await this.call(method, { directory: this.where.directory(), ...params })
    const path = this.pathOf(one)
    if (path === this.connection?.path) return await this.call(method, params)
    const own = new Connection(path)
    try {
      return await own.call(method, params)
    } finally {
      own.close()
    }
  }

  async call(method, params) {
    if (!this.connection) throw lost()
    return await this.connection.call(method, params)
  }

  /** Return the socket of the service that runs a delegation; ours, if there is none: it knows what to say. */
  pathOf({ owner }) {
    const path = join(this.folder, `${owner.split(":").slice(0, 2).join("-")}.sock`)
    return existsSync(path) ? path : this.connection?.path
  }

  /** Hand what an agent writes to `write`, from the beginning, until it has ended; return it then. */
  async follow(one, write, signal) {
    const { project, id } = one
    let seen
    while (!signal.aborted) {
      const path = this.pathOf(one)
      if (path) {
        const own = new Connection(path, (_, wrote) => { seen = wrote.position; write(words(wrote.text)) })
        const stop = () => own.close()
        signal.addEventListener("abort", stop)
        try {
          return await own.call("follow", { project, id, ...(seen && { seen }) }, 0)
        } catch (error) {
          if (!error.lost) throw error // of a service that was killed there is a next one
        } finally {
          signal.removeEventListener("abort", stop)
          own.close()
        }
      }
      await this.pause(PACE_MS)
    }
  }

  close() {
    this.closed = true
    clearTimeout(this.redraw)
    this.connection?.close()
  }

  async run() {
    let missingSince = Date.now()
    let patience = PATIENCE_MS.start
    while (!this.closed) {
      const { found, old } = await this.find()
      if (found && !this.closed) {
        this.connection = found
        if (found.session !== this.session) this.subscribe(found)
        await this.pulse(found)
        this.connection = undefined
        missingSince = Date.now()
        patience = PATIENCE_MS.later
      } else if (old || Date.now() - missingSince > patience) this.take({ ...NOTHING, note: old ? OLD : GONE })
      if (!this.closed) await this.pause(PACE_MS)
    }
  }

  async find() {
    const directory = this.where.directory()
    const known = directory ? await Promise.all(paths(this.folder).map((path) => this.knock(path))) : []
    const there = known.filter(Boolean).sort((a, b) => (b.pid === this.where.pid) - (a.pid === this.where.pid))
    let found, old
    for (const { connection } of there) {
      if (!found && !this.closed) {
        const refused = await this.subscribe(connection)
        if (refused === undefined) { found = connection; continue }
        old ||= refused === NO_METHOD
      }
      connection.close()
    }
    return { found, old: !found && old }
  }

  async knock(path) {
    let connection
    try {
      connection = new Connection(path, (method, params) => this.told(connection, method, params))
      const about = await connection.call("about", {}, LOOK_LIMIT_MS)
      return { connection, pid: about.host_pid }
    } catch {
      connection?.close() // a leftover, one that hangs, or no service at all
    }
  }

  /** Ask a service for what is shown; return undefined once that came, or the code of its refusal. */
  subscribe(connection) {
    const { directory, columns = 36, most } = this.where
    connection.session = this.session
    const asked = { directory: directory(), session: this.session, columns, most: most() }
    return new Promise((resolve) => {
      connection.first = () => resolve(undefined)
      setTimeout(() => resolve(NOT_HERE), LOOK_LIMIT_MS).unref?.()
      // It stays open as long as the watching does.
      connection.call("watch", asked, 0).catch((error) => {
        resolve(error.code ?? NOT_HERE)
        if (error.code === NOT_HERE) connection.close() // the directory was closed there
      })
    })
  }

  async pulse(connection) {
    const timer = setInterval(() => {
      connection.call("about", {}, LOOK_LIMIT_MS).catch(() => connection.close())
    }, PULSE_MS)
    timer.unref?.()
    await connection.ended
    clearInterval(timer)
  }

  told(connection, method, params) {
    if (method !== "shown" || this.closed) return
    connection.first?.()
    // What was on its way while another session was asked for is nobody's any more.
    const found = fitting(params)
    // Where the service knows nothing just now, what it knew before is still to be seen.
    if (params.session === this.session) this.take(found.note ? { ...this.shown, note: found.note } : found)
    for (const one of list(params.news)) this.guarded(() => this.news(one))
  }

  guarded(act) {
    try {
      act()
    } catch (error) {
      this.log(String(error?.stack ?? error))
    }
  }

  /** Have it drawn, if it is something else than what was drawn last, and not too soon after that. */
  take(shown) {
    const same = JSON.stringify(shown) === JSON.stringify(this.shown)
    this.shown = shown
    if (same || this.redraw) return
    this.redraw = setTimeout(() => {
      this.redraw = undefined
      this.drawn = Date.now()
      this.guarded(() => this.show(this.shown))
    }, Math.max(0, this.drawn + REDRAW_MS - Date.now()))
  }

  pause(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }
}

function paths(folder) {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".sock")).map((name) => join(folder, name))
  } catch {
    return [] // nothing has ever run here
  }
}
