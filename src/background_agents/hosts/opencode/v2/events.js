// Which of OpenCode 2's events the service hears, and what is left of one on the way there.

// What Python follows, by the beginning of its name; everything else stays in OpenCode.
const FOLLOWED = ["session.", "permission.", "question.", "form."]

// Of no use to anybody there, or told once more by what comes after.
const LEFT_OUT = ["session.tool.input.", "session.instructions.", "session.compaction.delta", "session.shell."]

// Of these there are very many, and they concern only who follows the session.
const DETAILS = ["session.step.", "session.text.", "session.reasoning.", "session.tool.", "session.usage."]

// A text is wanted whole. Of prompts, of tools' arguments and of what tools printed a beginning is
// more than is ever shown.
const WHOLE = ["session.text."]
const WORDS = 1_000

const isOne = (beginnings, { type }) => beginnings.some((beginning) => type.startsWith(beginning))

export const concerns = (event) => isOne(FOLLOWED, event) && !isOne(LEFT_OUT, event)

export const isDetail = (event) => isOne(DETAILS, event)

export const sessionOf = ({ data }) => data.sessionID

/** Return an event in the form of the session's log, without what nobody reads. */
export function lean(event) {
  const { id, location, metadata, ...rest } = event
  return isOne(WHOLE, event) ? rest : shortened(rest)
}

function shortened(value) {
  if (typeof value === "string") return value.slice(0, WORDS)
  if (Array.isArray(value)) return value.map(shortened)
  if (value === null || typeof value !== "object") return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)]))
}
