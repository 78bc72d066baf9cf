// Delegations inside OpenCode 2's screen: what the calls for a panel are in its released versions, by their public
// contract. What is drawn, and what a person does, both lines share.

import { createEffect, createRoot, createSignal } from "solid-js"
import { acts, option, supervise } from "../panel/acting.js"
import { bounded, most, sidebar, text } from "../panel/elements.js"
import { Link, NOTHING } from "../panel/link.js"
import { page, tellPage } from "../panel/page.js"

const ID = "background-agents"
const GROUP = "Background agents"

// The shared parts name colours as OpenCode 1 does; releases of OpenCode 2 have renamed some of theirs.
const plain = (states) => states?.base ?? states?.default
const COLOURS = {
  text: ({ text }) => plain(text), markdownText: ({ text }) => plain(text), textMuted: ({ text }) => text?.muted ?? text?.subdued,
  warning: ({ text }) => plain(text?.feedback?.warning), success: ({ text }) => plain(text?.feedback?.success), error: ({ text }) => plain(text?.feedback?.error),
  markdownEmph: ({ markdown }) => markdown?.emphasis, diffAdded: ({ diff }) => diff?.text?.added, diffRemoved: ({ diff }) => diff?.text?.removed,
}

function colour(theme, name) {
  const [, group, rest] = /^(markdown|syntax)(.+)$/.exec(name) ?? []
  return COLOURS[name]?.(theme) ?? (rest && theme[group]?.[rest[0].toLowerCase() + rest.slice(1)])
}

/** Return what the shared parts know of this host. */
function hosted(context) {
  let opened
  const { keymap, renderer, ui: { dialog, router, toast } } = context
  return {
    colour: (name) => colour(context.theme ?? {}, name),
    log: (message) => console.error(`background-agents: ${message}`),
    // A layer belongs to the component that makes it, and goes with it.
    keys: ({ back, more }) => keymap.layer(() => ({
      commands: [
        { bind: "escape", title: "Back", group: GROUP, run: () => router.navigate(back) },
        { bind: "return", title: "What to do", group: GROUP, run: () => void more() },
      ],
    })),
    toast(said) {
      tellPage(said.message)
      toast.show(said)
    },
    clear: () => dialog.clear(),
    copy: (text) => renderer.copyToClipboardOSC52?.(text),
    visit: (session) => router.navigate({ type: "session", sessionID: session }),
    open(shown) {
      const now = router.current()
      // From a page to the next one, Esc goes to where the first was opened.
      const back = now.type === "plugin" && now.id === ID ? opened.back : { ...now }
      opened = { ...shown, back }
      // What is not data stays here; a page that opens another one is drawn anew.
      router.navigate({ type: "plugin", name: "page", data: { title: shown.title } })
    },
    opened: () => opened,
  }
}

/** Return the dialogs of the host, for what the panels of both lines share. Its lists do not change while they are open. */
function dialogs({ renderer, ui: { dialog } }, host) {
  const wide = (asked) => {
    dialog.set({ size: renderer.width > 120 ? "xlarge" : "large" })
    return asked
  }
  return {
    ...acts(host),
    choose: (title, placeholder, rows) => wide(dialog.select({ title, placeholder, options: rows.map(option) })),
    ask: (title, hint, about) => dialog.prompt({ title, placeholder: hint, description: about }),
    confirm: (title, message) => dialog.confirm({ title, message }),
  }
}

// A desktop notice alone: the host's own notifications have their sounds.
const announce = ({ attention, options }, { title, message }) =>
  options.notices !== false && attention?.notify({ title, message, notification: { when: "blurred" }, sound: false })?.catch?.(() => {})

/** Place the panel; return what takes it away again. */
export function setup(context) {
  const { ui, data, options, keymap, renderer } = context
  const host = hosted(context)
  const [shown, setShown] = createSignal(NOTHING)
  let session = ""
  const where = {
    directory: () => (data.session.get(session)?.location ?? context.location ?? data.location.default())?.directory ?? "",
    pid: process.pid, // of no service: they run in the server, and the first that serves the directory is taken
    most: () => most(renderer.height),
  }
  const link = new Link(where, { show: setShown, news: (one) => announce(context, one), log: host.log })
  const unwatch = createRoot((dispose) => {
    // A page of ours goes on with the session from which it was opened.
    createEffect(() => {
      const route = ui.router.current()
      if (route.type === "plugin") return
      session = route.type === "session" ? route.sessionID : ""
      link.watch(session)
    })
    return dispose
  })
  const counter = () => bounded(host, () => text(host, "textMuted", () => shown().counter))
  const command = {
    id: "background-agents.delegations", title: "Delegations", description: "Watch, steer, answer and stop background agents",
    group: GROUP, palette: true, slash: { name: "delegations" }, bind: options.key ?? "<leader>d",
    run: () => void supervise(link, dialogs(context, host)),
  }
  const taken = [
    ui.slot({ prepend: "sidebar.content", render: () => bounded(host, () => sidebar(host, shown)) }),
    ui.slot({ append: "prompt.footer.status", render: counter }),
    ui.slot({ append: "home.footer.status", render: counter }),
    ui.slot({ append: "app", render: () => (keymap.layer(() => ({ mode: "global", commands: [command] })), null) }),
    ui.router.register({ name: "page", render: () => bounded(host, () => page(host, link, host.opened()), { flexGrow: 1 }) }),
  ]
  return () => {
    for (const release of [...taken, unwatch]) release?.()
    link.close()
  }
}

export default { id: ID, setup }
