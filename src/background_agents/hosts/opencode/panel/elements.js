// Elements of OpenCode's screen without a build step, what we put into its sidebar, and the boundary that each
// part of ours needs: what throws later than a plugin's beginning would take the whole screen down. Of the host
// they know a `colour` by its name, and `log`. Shared by the panels of both lines of OpenCode.

import { ErrorBoundary, Index, Show, untrack } from "solid-js"
import { createComponent, createElement, insert, spread } from "@opentui/solid"

/** Make an element; properties that change are getters, text that changes is a function. */
export function h(tag, props, ...kids) {
  const element = createElement(tag)
  spread(element, props ?? {}, true)
  if (kids.length) insert(element, kids)
  return element
}

/** Return a line of text in one of the theme's colours. */
export const text = (host, name, ...kids) => h("text", { wrapMode: "none", get fg() { return host.colour(name) } }, ...kids)

// Never by colour alone: what a tone says is said in words or signs, too.
const TONES = { strong: "text", faint: "textMuted", urgent: "warning", good: "success", bad: "error" }

// A line that the service made: spans, each a text and its tone.
const line = (host, spans) => text(host, "text", () => spans().map(({ text, tone }) =>
  h("span", { get style() { return { fg: host.colour(TONES[tone] ?? "text"), bold: tone === "strong" } } }, text)))

/**
 * Let a part of the screen fail alone. Its root stays the same when it does: the host calls whoever gave
 * it something else anew, which fails again, and so on for ever.
 */
export const bounded = (host, make, props) => h("box", props, createComponent(ErrorBoundary, {
  fallback: (error) => {
    host.log(String(error?.stack ?? error))
    return text(host, "textMuted", "background-agents: failed (see log)")
  },
  get children() { return untrack(make) }, // what it reads as it is made is no reason to make it anew
}))

/** Return how many delegations the sidebar has room for, each of two lines, beside what the host has there. */
export const most = (rows) => Math.max(3, Math.min(12, Math.floor((rows - 12) / 4)))

/** Return the delegations for the sidebar. */
export function sidebar(host, shown) {
  const part = (name, tone) => createComponent(Show, {
    get when() { return shown()[name] },
    get children() { return tone(() => shown()[name]) },
  })
  const faint = (words) => text(host, "textMuted", words)
  const wrapped = (words) => h("text", { get fg() { return host.colour("textMuted") } }, words)
  return h("box", {},
    part("head", (words) => text(host, "text", h("b", {}, words))),
    createComponent(Index, { get each() { return shown().lines }, children: (spans) => line(host, spans) }),
    part("more", faint), part("note", wrapped))
}
