// What a person does to a delegation from a panel: choose one, choose what to do, be asked, be told what
// came of it. Which delegations and actions there are, in which order and in which words, comes ready
// from the service. Of the screen it knows `ui`: `choose`, `ask` and `confirm` are promises of what was
// chosen, undefined where the person has left; `tell`, `page`, `visit`, `copy` and `done` are acts.
// Shared by the panels of both lines of OpenCode.

const surface = "panel"

const which = ({ project, id }) => ({ project, id, surface })

// By an action's name: the method, what goes with it, and what a person is told when it is done.
const CALLS = {
  steer: (one, text) => ["steer", { ...which(one), text }, () => `Sent to ${one.id}, which takes it up at its next step.`],
  answer: (one, text, { request }) => ["answer", { ...which(one), text, request }, () => `Answered; ${one.id} goes on.`],
  stop: (one) => ["stop", which(one), ({ state }) => `${one.id} is ${state}.`],
  extend: (one, text) => ["extend", { ...which(one), minutes: number(text) }, ({ timeout_s }) => `${one.id} has ${timeout_s === null ? "no limit" : `${Math.round(timeout_s / 60)} minutes in all`} now.`],
  continue: (one, prompt) => again({ prompt, agent: one.agent, continue_id: one.id }),
  retry: (one) => again({ retry_id: one.id }),
}

// It may be told that it is another one that runs now.
const again = (order) => ["delegate", { order, surface }, ({ id }) => `Delegated as ${id}.`]

/** Show all delegations, and do what is chosen. */
export const supervise = (link, ui) => guarded(ui, async () => {
  const rows = await link.entries()
  if (!rows.length) return ui.tell("Nothing has been delegated in this project yet.")
  const key = ({ id, title, detail, footer, group }) => ({ value: id, title, detail, footer, group })
  const id = await ui.choose("Delegations", "Type to filter", rows.map(key), async () => (await link.entries()).map(key))
  if (id) await offer(link, ui, id)
})

/** Show what can be done to one delegation, as it is while it is shown, and do what is chosen. */
async function offer(link, ui, id) {
  const look = async () => (await link.entries()).find((one) => one.id === id)
  const rows = (one) => (one?.actions ?? []).map(({ name, title }) => ({ value: name, title }))
  const seen = await look()
  const name = await ui.choose(seen?.title ?? id, id, rows(seen), async () => rows(await look()))
  if (!name) return
  // It may have ended, or asked something else, while the list was shown.
  const one = await look()
  const action = one?.actions.find((action) => action.name === name)
  if (!action) throw new Error(`${id} is ${one?.state ?? "gone"} by now, so nothing was done.`)
  await act(link, ui, one, action)
}

async function act(link, ui, one, action) {
  const { name, title } = action
  if (name === "open") return ui.visit(one.session)
  if (name === "copy") return ui.copy(one.id)
  if (!(name in CALLS)) return ui.page({ heading: one.title, title: `${one.id} · ${title}`, name, one, more: () => guarded(ui, () => offer(link, ui, one.id)) })
  const given = await asked(ui, one, action)
  ui.done()
  if (given === undefined) return
  const [method, params, told] = CALLS[name](one, given, action)
  ui.tell(told(await link.act(one, method, params)))
}

async function asked(ui, one, { title, asks, hint, questions }) {
  if (asks === "confirm") return (await ui.confirm(title, hint)) ? "" : undefined
  if (asks === "text") return (await ui.ask(title, hint, one.title))?.trim() || undefined
  const answers = []
  for (const { text, choices } of asks === "questions" ? questions : []) {
    const rows = choices.map(({ title }, value) => ({ value, title }))
    const chosen = choices[await ui.choose(text, one.id, rows)]
    const words = chosen?.hint ? (await ui.ask(chosen.title, chosen.hint, text))?.trim() : ""
    if (!chosen || (chosen.hint && !words)) return undefined
    const answer = chosen.value + words
    if (/^reject(: )?$/.test(chosen.value)) return answer // whatever else is asked
    answers.push(answer)
  }
  return answers.join("\n")
}

function number(text) {
  const found = Number(text.replace(",", "."))
  if (Number.isFinite(found)) return found
  throw new Error(`“${text}” is no number.`)
}

/** Return the acts of `ui`, by what the `host` of either line has for them. */
export function acts(host) {
  const tell = (message, isError) => host.toast({ message, variant: isError ? "warning" : "info", duration: isError ? 8_000 : 4_000 })
  const away = (go) => (to) => {
    host.clear()
    go(to)
  }
  const copy = (text) => tell(host.copy(text) ? `Copied ${text}` : `This terminal takes no copies; the id is ${text}`)
  return { tell, done: host.clear, visit: away(host.visit), page: away(host.open), copy: away(copy) }
}

/** Return a row as the lists of either line take it. */
export const option = ({ value, title, detail, footer, group }) => ({
  value, title: `${title}`, description: detail && `${detail}`, category: group && `${group}`, footer: footer && `${footer}`,
})

async function guarded(ui, act) {
  try {
    await act()
  } catch (error) {
    ui.done()
    ui.tell(String(error?.message ?? error), true)
  }
}
