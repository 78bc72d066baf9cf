// OpenCode 2's screen as its public contract for panels describes it (`@opencode/plugin/tui`, 2.0.20), on what
// OpenCode 1 draws with. It is as strict as the contract is: what that does not have is refused with a throw.
// `options.panel` is the file of the panel.

import { getOwner, onCleanup } from "solid-js"
import { createComponent, createElement, insert } from "@opentui/solid"

const SLOTS = {
  app: "app", "home.footer.status": "home_prompt_right", "prompt.footer.status": "session_prompt_right", "sidebar.content": "sidebar_content",
}
const PLACEMENTS = ["prepend", "append", "before", "after", "replace"]
const COMMAND = new Set(["id", "title", "description", "group", "enabled", "bind", "palette", "slash", "suggested", "run"])

function only(known, given, what) {
  for (const name of Object.keys(given)) if (!known.has(name)) throw new Error(`${what} has no ${name}`)
}

function slots(api) {
  let order = 40
  return (claim) => {
    const placed = PLACEMENTS.filter((name) => name in claim)
    if (placed.length !== 1) throw new Error("Slot claim requires exactly one placement key")
    only(new Set([...PLACEMENTS, "render"]), claim, "a claim")
    const slot = SLOTS[claim[placed[0]]]
    if (!slot) throw new Error(`no slot ${claim[placed[0]]}`)
    const render = (_, props) => claim.render({ get sessionID() { return props?.session_id } })
    api.slots.register({ order: order++, slots: { [slot]: render } })
    return () => {}
  }
}

let commands = 0
const layers = (api) => (input) => {
  if (!getOwner()) throw new Error("Keymap.Provider is missing")
  const layer = input()
  only(new Set(["mode", "enabled", "target", "priority", "commands", "bindings"]), layer, "a layer")
  const named = layer.commands.map((one) => {
    only(COMMAND, one, "a command")
    return { ...one, name: one.id ?? `inline.${++commands}` }
  })
  const release = api.keymap.registerLayer({
    commands: named.map(({ name, title, group, palette, slash, run }) =>
      ({ name, title, category: group, ...(palette && { namespace: "palette" }), ...(slash && { slashName: slash.name }), run })),
    bindings: named.filter(({ bind }) => bind).map(({ bind, name }) => ({ key: bind, cmd: name })),
  })
  onCleanup(() => release?.())
}

function router(api, id) {
  const name = (page) => `${id}.${page}`
  const current = () => {
    const { name, params } = api.route.current
    if (name === "home") return { type: "home" }
    return name === "session" ? { type: "session", sessionID: params.sessionID } : { type: "plugin", id, name: name.slice(id.length + 1), data: params }
  }
  return {
    current,
    register: (page) => api.route.register([{ name: name(page.name), render: ({ params }) => page.render({ data: params }) }]),
    navigate(to) {
      if (to.type === "plugin") api.route.navigate(name(to.name), to.data)
      else api.route.navigate(to.type, to.type === "session" ? { sessionID: to.sessionID } : undefined)
    },
  }
}

function text(words) {
  const element = createElement("text")
  insert(element, words)
  return element
}

function dialog({ ui }) {
  const shown = (make) => new Promise((resolve) => ui.dialog.replace(() => make((value) => { resolve(value); ui.dialog.clear() }), () => resolve(undefined)))
  return {
    set: ({ size }) => ui.dialog.setSize(size),
    clear: () => ui.dialog.clear(),
    select: (given) => shown((done) => createComponent(ui.DialogSelect, { ...given, onSelect: ({ value }) => done(value) })),
    prompt: ({ description, ...given }) => shown((done) =>
      createComponent(ui.DialogPrompt, { ...given, description: () => text(description), onConfirm: done })),
    confirm: (given) => shown((done) => createComponent(ui.DialogConfirm, { ...given, onConfirm: () => done(true), onCancel: () => done(false) })),
  }
}

const theme = ({ theme }) => {
  const states = (name) => ({ get base() { return theme.current[name] } })
  return {
    text: { ...states("text"), get base() { return theme.current.text }, get muted() { return theme.current.textMuted },
      feedback: { warning: states("warning"), success: states("success"), error: states("error") } },
    markdown: { get heading() { return theme.current.markdownHeading } },
    syntax: {}, diff: { text: {} },
  }
}

const frozen = (value) => Object.freeze(value)

export default {
  id: "second-screen",
  async tui(api, { panel, options }) {
    const { id, setup } = (await import(panel)).default
    const cleanup = await setup(frozen({
      options: options ?? {}, app: { version: "2.0.20", channel: "latest" }, renderer: api.renderer, attention: api.attention, client: {},
      get location() { return { directory: api.state.path.directory } },
      theme: theme(api), themeMode: "dark", keymap: frozen({ layer: layers(api) }),
      data: frozen({ session: { get: () => undefined }, location: { default: () => ({ directory: api.state.path.directory }) } }),
      ui: frozen({ dialog: dialog(api), toast: { show: (said) => api.ui.toast(said) }, router: router(api, id), slot: slots(api) }),
    }))
    api.lifecycle.onDispose(cleanup)
  },
}
