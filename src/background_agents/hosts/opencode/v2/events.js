// Which of OpenCode 2's events the service hears, and what is left of one on the way there.

import { identity } from "../service.js"

// What Python follows, by the beginning of its name; everything else stays in OpenCode.
const FOLLOWED = ["session.", "permission.", "form.", "agent."]

// Of no use to anybody there, or told once more by what comes after.
const LEFT_OUT = [
  "session.tool.input.delta", "session.tool.input.ended", "session.compaction.delta", "session.usage.",
  "session.instructions.", "session.shell.",
]

// Of these there are very many, and they concern only who follows the session.
const DETAILS = ["session.text.", "session.reasoning.", "session.tool."]

// Of tools' arguments and of what they printed, and of the prompts and summaries of sessions that
// nobody follows, the beginning is more than is ever shown.
const LONG = ["session.tool.", "session.input.", "session.inbox.", "session.compaction.", "session.revert."]
const PROMPTS = ["session.input.", "session.inbox."]
const WORDS = 1_000

// Of what becomes of a tool call, whatever is left of it there.
const CALLS = ["session.tool.called", "session.tool.success", "session.tool.failed"]

const isOne = (beginnings, { type }) => beginnings.some((beginning) => type.startsWith(beginning))

export const concerns = (event) => isOne(FOLLOWED, event) && !isOne(LEFT_OUT, event)

export const isDetail = (event) => isOne(DETAILS, event)

export const sessionOf = ({ data }) => data.sessionID

/** Return an event in the form of the session's log, without what nobody reads. */
export function lean(event, isFollowed) {
  const { id, location, metadata, ...rest } = event
  if (event.type === "permission.asked") {
    const { metadata, ...asked } = event.data // which has whole files in diffs
    return { ...rest, data: asked }
  }
  if (!isOne(LONG, event) || (isFollowed && isOne(PROMPTS, event))) return rest
  if (!CALLS.includes(event.type)) return shortened(rest)
  const { input, content, error } = event.data
  const fingerprint = identity(content ?? error?.message ?? input)
  return shortened({ ...rest, data: { ...event.data, fingerprint } })
}

function shortened(value) {
  if (typeof value === "string") return value.slice(0, WORDS)
  if (Array.isArray(value)) return value.map(shortened)
  if (value === null || typeof value !== "object") return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)]))
}
