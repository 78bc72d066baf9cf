// The server in whose process we are: its address and its password, which OpenCode 2 tells no
// plugin, and requests to it.

import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { shortened } from "../service.js"

// Where `serve` listens if nothing else was said and nobody else does.
const DEFAULT_PORT = 4096

const LOOK_LIMIT_MS = 2_000

const SECRET = ["OPENCODE_PASSWORD", "OPENCODE_SERVER_PASSWORD"]

const UNKNOWN =
  "background-agents cannot reach the OpenCode server that it is part of, since it does not know its password: " +
  "use the shared server (opencode service start), or set OPENCODE_PASSWORD before `opencode serve`."

class OwnServer {
  known = undefined
  looking = undefined

  /** Return `{ url, authorization }`. What it throws says what the user can do. */
  found() {
    if (this.known) return this.known
    return (this.looking ??= this.look().finally(() => { this.looking = undefined }))
  }

  async look() {
    for (const { url, password } of candidates()) {
      const authorization = "Basic " + Buffer.from(`opencode:${password}`).toString("base64")
      if (await isOurs(url, authorization)) return (this.known = { url, authorization })
    }
    throw new Error(UNKNOWN)
  }

  async fetch({ method, path, body, headers }) {
    const { url, authorization } = await this.found()
    const sent = { ...headers, authorization, ...(body == null ? {} : { "content-type": "application/json" }) }
    return await fetch(new URL(path, url), { method, headers: sent, body: body == null ? undefined : JSON.stringify(body) })
  }

  /** Return the words that OpenCode was started with; a server of `--standalone` has a user's for a parent. */
  argv() {
    const own = process.argv.slice(2)
    return shortened(own.includes("--stdio") ? (words(process.ppid) ?? own) : own)
  }
}

// The shared server is in a file. Another one has its password from the environment, of which a
// `--standalone` one forgets it, but the kernel does not.
function* candidates() {
  yield* registered()
  const began = { ...environment(), ...process.env }
  const password = SECRET.map((name) => began[name]).find(Boolean)
  if (!password) return
  for (const port of new Set([...listening(), option("--port"), DEFAULT_PORT])) {
    if (Number(port)) yield { url: `http://${host()}:${port}`, password }
  }
}

function* registered() {
  const folder = join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "opencode")
  for (const name of attempt(() => readdirSync(folder)) ?? []) {
    if (!/^service.*\.json$/.test(name)) continue
    const told = attempt(() => JSON.parse(readFileSync(join(folder, name), "utf8")))
    if (told?.pid === process.pid) yield told
  }
}

// Which of OpenCode's processes it is; a wildcard is no address to ask.
function host() {
  const told = option("--hostname") ?? "127.0.0.1"
  if (told === "0.0.0.0" || told === "::") return "127.0.0.1"
  return told.includes(":") ? `[${told}]` : told
}

function option(name) {
  const at = process.argv.findIndex((word) => word === name || word.startsWith(`${name}=`))
  if (at >= 0) return process.argv[at].slice(name.length + 1) || process.argv[at + 1]
}

// The ports on which this process listens; known on Linux only.
function listening() {
  const own = new Set((attempt(() => readdirSync("/proc/self/fd")) ?? []).map((fd) => attempt(() => readlinkSync(`/proc/self/fd/${fd}`))))
  return ["tcp", "tcp6"].flatMap((kind) =>
    (attempt(() => readFileSync(`/proc/self/net/${kind}`, "utf8")) ?? "").split("\n").slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === "0A" && own.has(`socket:[${columns[9]}]`))
      .map((columns) => String(parseInt(columns[1].split(":")[1], 16))))
}

function environment() {
  const text = attempt(() => readFileSync("/proc/self/environ", "utf8")) ?? ""
  return Object.fromEntries(text.split("\0").map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]))
}

function words(pid) {
  return attempt(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(1, -1))
}

async function isOurs(url, authorization) {
  try {
    const response = await fetch(new URL("/api/health", url), { headers: { authorization }, signal: AbortSignal.timeout(LOOK_LIMIT_MS) })
    return (await response.json()).pid === process.pid
  } catch {
    return false
  }
}

function attempt(read) {
  try {
    return read()
  } catch {
    return undefined
  }
}

export const server = new OwnServer()
