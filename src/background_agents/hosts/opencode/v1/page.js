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

/** Return the page. `params` has a delegation, the name of what is shown of it, titles, what Enter does and where Esc goes. */
export function page(api, link, params) {
  const isLive = params.name === "peek"
  const [content, setContent] = createSignal("")
  const [state, setState] = createSignal(isLive ? "live" : "…")
  const leaving = new AbortController()
  onCleanup(() => leaving.abort())
  const reads = isLive ? follow(link, params.one, paced(setContent, leaving.signal), leaving.signal) : read(link, params, setContent)
  reads.then(setState, (error) => setState(error.message))
  keys(api, params)
  const styled = createMemo(() => style(api.theme.current))
  return h("box", { flexGrow: 1, paddingLeft: 2, paddingRight: 1, paddingTop: 1 },
    h("box", { flexShrink: 0, paddingBottom: 1 },
      text(api, "text", h("b", {}, params.heading)),
      h("box", { flexDirection: "row", justifyContent: "space-between" }, text(api, "textMuted", params.title), text(api, "textMuted", state))),
    h("scrollbox", { flexGrow: 1, stickyScroll: isLive, stickyStart: isLive ? "bottom" : "top", focused: true, contentOptions: { paddingRight: 1 } },
      h("markdown", { get content() { return content() }, get syntaxStyle() { return styled() }, conceal: true, streaming: isLive })),
    h("box", { flexShrink: 0, paddingTop: 1, paddingBottom: 1 }, text(api, "textMuted", "esc back · enter what to do · ↑ ↓ page up, page down")))
}

async function follow(link, one, write, signal) {
  const ended = await link.follow(one, write, signal)
  return ended ? `${ended.state}; Enter shows what there is to read` : ""
}

async function read(link, { name, one }, setContent) {
  let whole = ""
  for (let offset = 0; offset !== undefined;) {
    const { text, next } = await link.part(name, one, offset)
    setContent(whole += text)
    offset = next
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
