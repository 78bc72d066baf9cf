// What a plugin file of ours loads. `connect` is OpenCode 1's form of a plugin; `plugin` is one that
// OpenCode 1 (from 1.18.29 on) and OpenCode 2 both take, and of which each runs its own half.

import { connect } from "./v1/plugin.js"
import { setup } from "./v2/plugin.js"

export { connect }

/** Return the plugin. `options.python` is the interpreter that has the package. */
export const plugin = (options) => ({ id: "background-agents", server: connect(options), setup: setup(options) })
