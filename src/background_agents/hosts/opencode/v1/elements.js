// Elements of OpenCode 1's screen without a build step, and the boundary that each part of ours needs: what
// throws later than a plugin's beginning would take the whole screen down.

import { ErrorBoundary, untrack } from "solid-js"
import { createComponent, createElement, insert, spread } from "@opentui/solid"

/** Make an element; properties that change are getters, text that changes is a function. */
export function h(tag, props, ...kids) {
  const element = createElement(tag)
  spread(element, props ?? {}, true)
  if (kids.length) insert(element, kids)
  return element
}

/** Return a line of text in one of the theme's colours. */
export const text = (api, name, ...kids) => h("text", { wrapMode: "none", get fg() { return api.theme.current[name] } }, ...kids)

// Never by colour alone: what a tone says is said in words or signs, too.
const TONES = { strong: "text", faint: "textMuted", urgent: "warning", good: "success", bad: "error" }

/** Return a line that the service made: spans, each a text and its tone. */
export const line = (api, spans) => text(api, "text", () => spans().map(({ text, tone }) =>
  h("span", { style: { get fg() { return api.theme.current[TONES[tone] ?? "text"] }, bold: tone === "strong" } }, text)))

/**
 * Let a part of the screen fail alone. Its root stays the same when it does: the host calls whoever gave
 * it something else anew, which fails again, and so on for ever.
 */
export const bounded = (api, log, make, props) => h("box", props, createComponent(ErrorBoundary, {
  fallback: (error) => {
    log(String(error?.stack ?? error))
    return text(api, "textMuted", "background-agents: failed (see log)")
  },
  get children() { return untrack(make) }, // what it reads as it is made is no reason to make it anew
}))
