// One connection of a panel to a service: calls, and what the service says unasked. JSON-RPC 2.0, a frame on
// each line. Loaded into OpenCode's screen: nothing may throw out of a socket.

import { closeSync, constants, openSync } from "node:fs"
import { createConnection } from "node:net"
import { basename, dirname } from "node:path"
import { readLines } from "../lines.js"

// A stop waits until a session is quiet.
const ACT_LIMIT_MS = 90_000

// Of a frame; transcripts that are read along are the largest.
const MOST_CHARS = 32 * 1024 * 1024

// Linux takes 108 bytes for a socket's path, macOS 104.
const PATH_BYTES = 100

/** What a person is told where no service answers. */
export const GONE = "The background-agents service does not answer; it is looked for again."

/** Return the error of a call that no service has answered: another one may. */
export const lost = () => Object.assign(new Error(GONE), { lost: true })

/** One connection to a service. `onTold` gets what it says unasked. */
export class Connection {
  pending = new Map()
  lastNumber = 0

  constructor(path, onTold = () => {}) {
    const { name, release } = shortened(path)
    this.path = path
    this.socket = createConnection(name)
    this.socket.on("connect", release)
    this.ended = new Promise((resolve) => this.socket.on("close", () => { release(); this.refuse(); resolve() }))
    this.socket.on("error", () => {}) // "close" follows
    readLines(this.socket, (line) => this.receive(line, onTold), MOST_CHARS)
  }

  call(method, params, limitMs = ACT_LIMIT_MS) {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(lost())
      const id = ++this.lastNumber
      const limit = limitMs && setTimeout(() => this.settle(id)?.reject(lost()), limitMs)
      this.pending.set(id, { resolve, reject, limit })
      this.socket.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n")
    })
  }

  settle(id) {
    const waiting = this.pending.get(id)
    this.pending.delete(id)
    clearTimeout(waiting?.limit)
    return waiting
  }

  receive(line, onTold) {
    try {
      const { id, method, params, result, error } = JSON.parse(line)
      if (method) return onTold(method, params)
      if (error) this.settle(id)?.reject(Object.assign(new Error(error.message), { code: error.code }))
      else this.settle(id)?.resolve(result)
    } catch {
      this.close() // whoever is there does not speak our language, and another may
    }
  }

  refuse() {
    for (const id of [...this.pending.keys()]) this.settle(id).reject(lost())
  }

  close() {
    this.socket.destroy()
  }
}

// A name that fits into a socket's address, while the folder is held open.
function shortened(path) {
  if (Buffer.byteLength(path) <= PATH_BYTES || process.platform !== "linux") return { name: path, release: () => {} }
  let descriptor = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  const release = () => { if (descriptor !== undefined) { closeSync(descriptor); descriptor = undefined } }
  return { name: `/proc/self/fd/${descriptor}/${basename(path)}`, release }
}
