// Delegations inside OpenCode 1's screen: what its calls for a panel are. What is drawn, and what a person
// does, both lines share; `../tui.js` loads this one's half.

import { createEffect, createRoot, createSignal, onCleanup } from "solid-js"
import { createComponent } from "@opentui/solid"
import { acts, option, supervise } from "../panel/acting.js"
import { bounded, most, sidebar, text } from "../panel/elements.js"
import { Link, NOTHING } from "../panel/link.js"
import { page, tellPage } from "../panel/page.js"

const COMMAND = "background-agents.delegations"
const PAGE = "background-agents.page"

/** Return what the shared parts know of this host. */
function hosted(api) {
  const { dialog, toast } = api.ui
  return {
    toast(said) {
      tellPage(said.message)
      toast(said)
    },
    colour: (name) => api.theme.current[name],
    log: (message) => void api.client.app.log({ service: "background-agents", level: "error", message })?.catch?.(() => {}),
    keys: (params) => keys(api, params),
    clear: () => dialog.clear(),
    copy: (text) => api.renderer.copyToClipboardOSC52?.(text),
    visit: (session) => api.route.navigate("session", { sessionID: session }),
    open(shown) {
      const { name, params } = api.route.current
      // From a page to the next one, Esc goes to where the first was opened.
      const back = name === PAGE ? params.back : { name, params }
      api.route.navigate(PAGE, { ...shown, back })
    },
  }
}

// The host has no Esc on a plugin's page. A mode of our own keeps its keys for sessions away (not on 1.15).
function keys(api, { back, more }) {
  const pop = api.mode?.push("background-agents")
  const release = api.keymap.registerLayer({
    ...(pop && { mode: "background-agents" }),
    commands: [
      { name: "background-agents.back", title: "Back", run: () => api.route.navigate(back.name, back.params) },
      { name: "background-agents.more", title: "What to do", run: () => void more() },
    ],
    bindings: [{ key: "escape", cmd: "background-agents.back" }, { key: "return", cmd: "background-agents.more" }],
  })
  onCleanup(() => { release?.(); pop?.() })
}

const matching = (typed) => {
  const words = typed.toLowerCase().split(/\s+/)
  return (row) => words.every((word) => Object.values(row).join(" ").toLowerCase().includes(word))
}

// The host sets it right behind what it cuts.
const spaced = (row) => ({ ...row, footer: row.footer && ` ${row.footer}` })

/** Return the dialogs of the host as promises, for what the panels of both lines share. */
function dialogs(api, host, changed) {
  const { dialog } = api.ui
  const open = (make, isWide) => new Promise((resolve) => {
    dialog.replace(() => bounded(host, () => make(resolve)), () => resolve(undefined))
    if (isWide) dialog.setSize(api.renderer.width > 120 ? "xlarge" : "large") // each dialog begins with the smallest
  })
  const choose = (title, placeholder, first, load) => open((resolve) => {
    const [rows, setRows] = createSignal(first)
    const [typed, setTyped] = createSignal("")
    let seen = changed()
    createEffect(() => {
      if (changed() === seen || !load) return
      seen = changed()
      load().then(setRows, () => {}) // to act on what is gone is refused with a sentence
    })
    return createComponent(api.ui.DialogSelect, {
      // The host looks for what is typed in titles alone, ids and states stand elsewhere.
      title, placeholder, skipFilter: true, onFilter: setTyped,
      get options() { return rows().filter(matching(typed())).map(option).map(spaced) },
      onSelect: ({ value }) => resolve(value),
    })
  }, true)
  return {
    ...acts(host),
    choose,
    ask: (title, hint, about) => open((resolve) => createComponent(api.ui.DialogPrompt, {
      title, placeholder: hint, description: () => text(host, "textMuted", about), onConfirm: resolve,
    })),
    confirm: (title, message) => open((resolve) => createComponent(api.ui.DialogConfirm, { title, message, onConfirm: () => resolve(true) })),
  }
}

/** Have a person told by the host's own means. Its own sounds for child sessions are there already. */
function announce(api, options, { title, message, kind }) {
  const isSounded = api.plugins?.list?.().some((one) => one.id === "internal:notifications" && one.active)
  const sound = options.sound !== false && !isSounded && { name: kind === "asks" ? "permission" : "subagent_done" }
  const notification = options.notices !== false && { when: "blurred" }
  if (sound || notification) api.attention?.notify({ title, message, notification, sound })?.catch?.(() => {}) // the toast is there
}

async function tui(api, options) {
  const settings = options ?? {}
  const host = hosted(api)
  const [shown, setShown] = createSignal(NOTHING)
  const where = { directory: () => api.state.path.directory, pid: process.pid, most: () => most(api.renderer.height) }
  const link = new Link(where, { show: setShown, news: (one) => announce(api, settings, one), log: host.log })
  api.lifecycle.onDispose(() => link.close())
  const counter = () => bounded(host, () => text(host, "textMuted", () => shown().counter))
  const ui = dialogs(api, host, shown)
  createRoot((dispose) => {
    api.lifecycle.onDispose(dispose)
    // A page of ours goes on with the session from which it was opened.
    createEffect(() => {
      const { name, params } = api.route.current
      if (name === "home" || name === "session") link.watch(params?.sessionID ?? "")
    })
  })
  api.slots.register({
    order: 50,
    slots: {
      sidebar_content: () => bounded(host, () => sidebar(host, shown)),
      session_prompt_right: counter,
      home_prompt_right: counter,
    },
  })
  api.route.register([{ name: PAGE, render: ({ params }) => bounded(host, () => page(host, link, params), { flexGrow: 1 }) }])
  api.keymap.registerLayer({
    commands: [{
      name: COMMAND, title: "Delegations", desc: "Watch, steer, answer and stop background agents",
      category: "Background agents", namespace: "palette", slashName: "delegations", run: () => void supervise(link, ui),
    }],
  })
  try {
    api.keymap.registerLayer({ bindings: [{ key: settings.key ?? "<leader>d", cmd: COMMAND, desc: "Delegations" }] })
  } catch (error) {
    host.log(`the panel's key ${JSON.stringify(settings.key)} cannot be used: ${error?.message ?? error}`)
  }
}

export default { id: "background-agents", tui }
