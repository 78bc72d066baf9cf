// Marks the shells that models start. A released OpenCode 2 has a hook for the environment of
// shells; the preview gives them its own, so there the mark stands in it from a model's call to
// the start of its shell, except while somebody is asked for permission: that may take hours, in
// which people start shells too. The command is left as it is: people and rules judge what they see.

import { MARK, STARTED_FROM } from "../service.js"

// Of several the least that may be done counts.
const LEAST = "supervisor"

class Shells {
  // Calls of models that may start a shell: whose, how to mark it, and what permission they wait for.
  expected = new Map()
  hasHook = false

  expect(call, session, mark) {
    this.expected.set(call, { session, mark, request: undefined })
    this.show()
  }

  hear({ type, data }) {
    if (type === "permission.asked") this.waits(callOf(data.source ?? {}), data.id)
    if (type === "permission.replied") this.goesOn(data.requestID)
    if (type === "shell.created" && !this.hasHook) this.forget(this.callIn(data.info?.metadata?.sessionID))
    if (type === "session.tool.success" || type === "session.tool.failed") this.forget(callOf(data))
    if (!type.startsWith("session.execution.") || type === "session.execution.started") return
    for (const [call, { session }] of this.expected) if (session === data.sessionID) this.forget(call)
  }

  waits(call, request) {
    if (!this.expected.has(call)) return
    this.expected.get(call).request = request
    this.show()
  }

  goesOn(request) {
    for (const one of this.expected.values()) if (one.request === request) one.request = undefined
    this.show()
  }

  forget(call) {
    if (this.expected.delete(call)) this.show()
  }

  callIn(session) {
    for (const [call, one] of this.expected) if (one.session === session && !one.request) return call
  }

  get mark() {
    const about = [...this.expected.values()].filter(({ request }) => !request)
    const marks = about.map(({ mark }) => mark)
    if (STARTED_FROM) marks.push(STARTED_FROM)
    const others = new Set(marks.filter((mark) => mark !== LEAST))
    // Of several background agents' shells nobody knows here whose the next one is.
    return others.size > 1 ? "unknown" : ([...others][0] ?? marks[0])
  }

  show() {
    if (this.hasHook) return
    const { mark } = this
    if (mark === undefined) delete process.env[MARK]
    else process.env[MARK] = mark
  }

  markBy(shell) {
    this.hasHook = true
    return shell.hook("create.before", ({ env }) => {
      const call = this.callIn(env.OPENCODE_SESSION_ID)
      const mark = this.expected.get(call)?.mark ?? this.mark
      if (mark !== undefined) env[MARK] = mark
      this.forget(call)
    })
  }
}

const callOf = ({ callID, id }) => callID ?? id

export const shells = new Shells()
