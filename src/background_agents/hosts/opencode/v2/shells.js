// Marks the shells that models start. A released OpenCode 2 has a hook for the environment of
// shells; the preview gives them its own, so there the mark stands in it from a model's call to
// the start of its shell. The command is left as it is: people and rules judge what they see.

import { MARK, STARTED_FROM } from "../service.js"

// Of several the least that may be done counts.
const LEAST = "supervisor"

class Shells {
  // Calls of models that are about to start a shell, or wait for their permission.
  expected = new Map()
  hasHook = false

  expect(call, session, mark) {
    this.expected.set(call, { session, mark })
    this.show()
  }

  hear({ type, data }) {
    if (type === "shell.created" && !this.hasHook) this.forget(this.callIn(data.info?.metadata?.sessionID))
    if (type === "session.tool.success" || type === "session.tool.failed") this.forget(callOf(data))
    if (type.startsWith("session.execution.") && type !== "session.execution.started") {
      for (let call; (call = this.callIn(data.sessionID)) !== undefined; ) this.forget(call)
    }
  }

  forget(call) {
    if (this.expected.delete(call)) this.show()
  }

  callIn(session) {
    for (const [call, one] of this.expected) if (one.session === session) return call
  }

  get mark() {
    const marks = [...this.expected.values()].map((one) => one.mark)
    if (STARTED_FROM) marks.push(STARTED_FROM)
    return marks.find((mark) => mark !== LEAST) ?? marks[0]
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
