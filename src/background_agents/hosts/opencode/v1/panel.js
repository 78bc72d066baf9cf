// Delegations inside OpenCode 1's screen: its sidebar, its prompt line, its dialogs and a page. It places
// and colours what the service says. tui.json names this file.

import { Index, Show, createEffect, createRoot, createSignal } from "solid-js"
import { createComponent } from "@opentui/solid"
import { supervise } from "../panel/acting.js"
import { Link } from "../panel/link.js"
import { bounded, h, line, text } from "./elements.js"
import { NAME, page } from "./page.js"

const COMMAND = "background-agents.delegations"

// Delegations in the sidebar, each of two lines, beside what the host has there.
const most = (rows) => Math.max(3, Math.min(12, Math.floor((rows - 12) / 4)))

function sidebar(api, shown) {
  const part = (name, tone) => createComponent(Show, {
    get when() { return shown()[name] },
    get children() { return tone(() => shown()[name]) },
  })
  const faint = (words) => text(api, "textMuted", words)
  const wrapped = (words) => h("text", { get fg() { return api.theme.current.textMuted } }, words)
  return h("box", {},
    part("head", (words) => text(api, "text", h("b", {}, words))),
    createComponent(Index, { get each() { return shown().lines }, children: (spans) => line(api, spans) }),
    part("more", faint), part("note", wrapped))
}

const option = ({ value, title, detail, footer, group }) => ({
  value, title: `${title}`, description: detail && `${detail}`, category: group && `${group}`,
  footer: footer && ` ${footer}`, // the host sets it right behind what it cuts
})

const matching = (typed) => {
  const words = typed.toLowerCase().split(/\s+/)
  return (row) => words.every((word) => Object.values(row).join(" ").toLowerCase().includes(word))
}

/** Return the dialogs of the host as promises, for what the panels of both lines share. */
function dialogs(api, log, changed) {
  const { dialog } = api.ui
  const open = (make, isWide) => new Promise((resolve) => {
    dialog.replace(() => bounded(api, log, () => make(resolve)), () => resolve(undefined))
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
      get options() { return rows().filter(matching(typed())).map(option) },
      onSelect: ({ value }) => resolve(value),
    })
  }, true)
  return {
    choose,
    ask: (title, hint, about) => open((resolve) => createComponent(api.ui.DialogPrompt, {
      title, placeholder: hint, description: () => text(api, "textMuted", about), onConfirm: resolve,
    })),
    confirm: (title, message) => open((resolve) => createComponent(api.ui.DialogConfirm, { title, message, onConfirm: () => resolve(true) })),
    tell: (message, isError) => api.ui.toast({ message, variant: isError ? "warning" : "info", duration: isError ? 8_000 : 4_000 }),
    done: () => dialog.clear(),
    visit(session) {
      dialog.clear()
      api.route.navigate("session", { sessionID: session })
    },
    copy(text) {
      dialog.clear()
      const copied = api.renderer.copyToClipboardOSC52?.(text)
      this.tell(copied ? `Copied ${text}` : `This terminal takes no copies; the id is ${text}`)
    },
    page(shown) {
      dialog.clear()
      const { name, params } = api.route.current
      // From a page to the next one, Esc goes to where the first was opened.
      const back = name === NAME ? params.back : { name, params }
      api.route.navigate(NAME, { ...shown, back })
    },
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
  const log = (message) => void api.client.app.log({ service: "background-agents", level: "error", message })?.catch?.(() => {})
  const [shown, setShown] = createSignal({ counter: "", head: "", lines: [], more: "", note: "" })
  const where = { directory: () => api.state.path.directory, pid: process.pid, most: () => most(api.renderer.height) }
  const link = new Link(where, { show: setShown, news: (one) => announce(api, settings, one), log })
  api.lifecycle.onDispose(() => link.close())
  const counter = () => bounded(api, log, () => text(api, "textMuted", () => shown().counter))
  const ui = dialogs(api, log, shown)
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
      sidebar_content: () => bounded(api, log, () => sidebar(api, shown)),
      session_prompt_right: counter,
      home_prompt_right: counter,
    },
  })
  api.route.register([{ name: NAME, render: ({ params }) => bounded(api, log, () => page(api, link, params), { flexGrow: 1 }) }])
  api.keymap.registerLayer({
    commands: [{
      name: COMMAND, title: "Delegations", desc: "Watch, steer, answer and stop background agents",
      category: "Background agents", namespace: "palette", slashName: "delegations", run: () => void supervise(link, ui),
    }],
    bindings: [{ key: settings.key ?? "<leader>d", cmd: COMMAND, desc: "Delegations" }],
  })
}

export default { id: "background-agents", tui }
