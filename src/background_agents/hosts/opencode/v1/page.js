// The page of one delegation: what its agent writes, as it writes it, or its result, or what it changed.

import { SyntaxStyle } from "@opentui/core"
import { createEffect, createMemo, createSignal, onCleanup } from "solid-js"
import { h, text } from "./elements.js"

/** Of the route. */
export const NAME = "background-agents.page"

// Letters come by the hundred in a second; each redraw reads the whole text again.
const REDRAW_MS = 500

// Of a run that is read along; what came before is in the child's session.
const MOST_CHARS = 60_000

const STYLES = {
  "markup.heading": ["markdownHeading", "bold"], "markup.strong": ["markdownStrong", "bold"], "markup.italic": ["markdownEmph", "italic"],
  "markup.raw": ["markdownCode"], "markup.quote": ["markdownBlockQuote"], "markup.list": ["markdownListItem"], "markup.link": ["markdownLink"],
  "markup.link.label": ["markdownLinkText"], comment: ["syntaxComment"], keyword: ["syntaxKeyword"], string: ["syntaxString"], number: ["syntaxNumber"],
  function: ["syntaxFunction"], type: ["syntaxType"], default: ["markdownText"], "diff.plus": ["diffAdded"], "diff.minus": ["diffRemoved"],
}

const style = (theme) => SyntaxStyle.fromStyles(Object.fromEntries(
  Object.entries(STYLES).map(([name, [colour, look]]) => [name, { fg: theme[colour], ...(look && { [look]: true }) }])))

/** Return the page. `params` has the title, the call that reads, whether it is `live`, `more` and where Esc goes `back`. */
export function page(api, link, params) {
  const [content, setContent] = createSignal("")
  const [state, setState] = createSignal("…")
  const leaving = new AbortController()
  onCleanup(() => leaving.abort())
  const reads = params.live ? follow(link, params.call, paced(setContent, leaving.signal), leaving.signal) : read(link, params.call, setContent)
  reads.then(setState, (error) => setState(error.message))
  keys(api, params)
  const styled = createMemo(() => style(api.theme.current))
  return h("box", { flexGrow: 1, paddingLeft: 2, paddingRight: 2, paddingTop: 1 },
    h("box", { flexDirection: "row", justifyContent: "space-between", flexShrink: 0, paddingBottom: 1 },
      text(api, "text", h("b", {}, params.title)), text(api, "textMuted", state)),
    h("scrollbox", { flexGrow: 1, stickyScroll: params.live, stickyStart: params.live ? "bottom" : "top", focused: true },
      h("markdown", { get content() { return content() }, get syntaxStyle() { return styled() }, conceal: true, streaming: params.live })),
    h("box", { flexShrink: 0, paddingTop: 1, paddingBottom: 1 }, text(api, "textMuted", "esc back · enter what to do · ↑ ↓ page up, page down")))
}

async function follow(link, { method, params }, write, signal) {
  const ended = await link.follow(method, params, write, signal)
  return ended ? ended.state : ""
}

async function read(link, { method, params }, setContent) {
  let whole = ""
  for (let offset = 0; offset != null;) {
    const { text, next_offset } = await link.call(method, { ...params, offset })
    setContent(whole += text)
    offset = next_offset
  }
  return ""
}

/** Return what takes pieces of a text and shows its end, not at each piece. */
function paced(show, signal) {
  let whole = ""
  let timer
  signal.addEventListener("abort", () => clearTimeout(timer))
  return (piece) => {
    whole = (whole + piece).slice(-MOST_CHARS)
    timer ??= setTimeout(() => { timer = undefined; show(whole) }, REDRAW_MS)
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
