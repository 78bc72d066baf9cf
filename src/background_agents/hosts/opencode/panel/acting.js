// What a person does to a delegation from a panel: choose one, choose what to do, be asked, be told
// what came of it. Which actions there are, their words and their calls come ready from the service.
// Of the screen it knows `ui`: `choose`, `ask`, `confirm` (each a promise, undefined when left), `tell`,
// `page`, `visit`, `copy`, `done`. Shared by the panels of both lines of OpenCode.

/** Show all delegations, and do what is chosen. */
export const supervise = (link, ui) => guarded(ui, async () => {
  const load = () => link.call("entries", { directory: link.where.directory(), session: link.session })
  const first = await load()
  if (!first.length) return ui.tell("Nothing has been delegated in this project yet.")
  const rows = (entries) => entries.map(({ id, title, detail, footer, group }) => ({ value: id, title, detail, footer, group }))
  const id = await ui.choose("Delegations", "Type to filter", rows(first), async () => rows(await load()))
  if (id) await offer(link, ui, id, load)
})

/** Show what can be done to one delegation, as it is then, and do what is chosen. */
async function offer(link, ui, id, load) {
  const one = async () => (await load()).find((entry) => entry.id === id)
  const rows = (entry) => (entry?.actions ?? []).map(({ name, title }) => ({ value: name, title }))
  const entry = await one()
  const name = await ui.choose(`${id} · ${entry?.footer ?? "gone"}`, "What to do", rows(entry), async () => rows(await one()))
  if (!name) return
  // It may have ended, or asked something else, since the list was shown.
  const now = await one()
  const action = now?.actions.find((action) => action.name === name)
  if (!action) return ui.tell(`${id} is ${now?.footer ?? "gone"}, and takes no “${name}” any more.`, true)
  await act(link, ui, now, action, () => guarded(ui, () => offer(link, ui, id, load)))
}

async function act(link, ui, entry, action, more) {
  const { name, call } = action
  if (name === "open") return ui.visit(entry.session)
  if (name === "copy") return ui.copy(entry.id)
  if (name === "peek" || name === "read" || name === "diff") return ui.page({ title: `${entry.id} · ${action.title}`, live: name === "peek", call, more })
  const given = await asked(ui, action)
  if (given === undefined) return ui.done()
  ui.done()
  await link.call(call.method, call.into ? put(call.params, call.into, given) : call.params)
  ui.tell(action.done)
}

async function asked(ui, { title, asks, hint, choices }) {
  if (asks === "confirm") return (await ui.confirm(title, hint)) || undefined
  if (asks === "text") return (await ui.ask(title, hint))?.trim() || undefined
  if (asks === "number") return number(await ui.ask(title, hint))
  if (asks !== "choice") return ""
  const chosen = await ui.choose(title, hint, choices.map(({ title, value }) => ({ title, value: `${value}` })))
  const choice = choices.find(({ value }) => `${value}` === chosen)
  if (choice?.asks !== "text") return choice?.value
  const words = (await ui.ask(choice.title, choice.hint ?? hint))?.trim()
  return words ? choice.value + words : undefined
}

function number(text) {
  if (!text?.trim()) return undefined
  const found = Number(text.trim().replace(",", "."))
  if (Number.isFinite(found)) return found
  throw new Error(`“${text.trim()}” is no number.`)
}

const put = (params, [name, ...rest], value) => ({ ...params, [name]: rest.length ? put(params[name], rest, value) : value })

async function guarded(ui, act) {
  try {
    await act()
  } catch (error) {
    ui.done()
    ui.tell(String(error?.message ?? error), true)
  }
}
