// The page of one delegation: what its agent writes, as it writes it, or its result, or what it changed. Of the
// host it knows a `colour` by its name, and `keys`. Shared by the panels of both lines of OpenCode.

import { SyntaxStyle } from "@opentui/core"
import { createMemo, createSignal, onCleanup } from "solid-js"
import { h, text } from "./elements.js"

// Letters come by the hundred in a second; each redraw reads the whole text again.
const REDRAW_MS = 1_000

// Of a run that is read along; what came before is in the child's session.
const MOST_CHARS = 60_000

const STYLES = {
  ...Object.fromEntries([1, 2, 3, 4, 5, 6].map((level) => [`markup.heading.${level}`, ["markdownHeading", "bold"]])), "markup.heading": ["markdownHeading", "bold"], "markup.strong": ["markdownStrong", "bold"], "markup.italic": ["markdownEmph", "italic"],
  "markup.raw": ["markdownCode"], "markup.quote": ["markdownBlockQuote"], "markup.list": ["markdownListItem"], "markup.link": ["markdownLink"],
  "markup.link.label": ["markdownLinkText"], comment: ["syntaxComment"], keyword: ["syntaxKeyword"], string: ["syntaxString"], number: ["syntaxNumber"],
  function: ["syntaxFunction"], type: ["syntaxType"], default: ["markdownText"], "diff.plus": ["diffAdded"], "diff.minus": ["diffRemoved"],
}

const style = (host) => SyntaxStyle.fromStyles(Object.fromEntries(
  Object.entries(STYLES).map(([name, [colour, look]]) => [name, { fg: host.colour(colour), ...(look && { [look]: true }) }])))

const track = (host) => ({ backgroundColor: host.colour("backgroundElement"), foregroundColor: host.colour("border") })

const [told, setTold] = createSignal("")

/** Say on the page what a person is told: the host shows its toasts on pages of its own alone. */
export const tellPage = setTold

/** Return the page. `params` has a delegation, the name of what is shown of it, titles, what Enter does and where Esc goes. */
export function page(host, link, params) {
  const isLive = params.name === "peek"
  const [content, setContent] = createSignal("")
  const [state, setState] = createSignal(isLive ? "live" : "…")
  setTold("")
  const leaving = new AbortController()
  onCleanup(() => leaving.abort())
  const reads = isLive ? follow(link, params.one, paced(setContent, leaving.signal), leaving.signal) : read(link, params, setContent)
  const ended = (words) => { setTold(""); setState(words) }
  reads.then(ended, (error) => ended(error.message))
  host.keys(params)
  const styled = createMemo(() => style(host))
  return h("box", { flexGrow: 1, paddingLeft: 2, paddingRight: 1, paddingTop: 1 },
    h("box", { flexShrink: 0, paddingBottom: 1 },
      text(host, "text", h("b", {}, params.heading)),
      h("box", { flexDirection: "row", justifyContent: "space-between" }, text(host, "textMuted", params.title), text(host, "textMuted", () => told() || state()))),
    h("scrollbox", { flexGrow: 1, stickyScroll: isLive, stickyStart: isLive ? "bottom" : "top", focused: true, contentOptions: { paddingRight: 1 }, get verticalScrollbarOptions() { return { trackOptions: track(host) } } },
      h("markdown", { get content() { return content() }, get syntaxStyle() { return styled() }, conceal: true, streaming: isLive })),
    h("box", { flexShrink: 0, paddingTop: 1, paddingBottom: 1 }, text(host, "textMuted", "esc back · enter what to do · ↑ ↓ page up, page down")))
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
