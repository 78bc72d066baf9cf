// What a plugin file of ours loads. `plugin` is one that both lines of OpenCode take, and of which
// each runs its own half; `connect` is OpenCode 1's half alone, as earlier files of ours load it.

import { connect } from "./v1/plugin.js"
import { setup } from "./v2/plugin.js"

export { connect }

/** Return the plugin. `options.python` is the interpreter that has the package. */
export const plugin = (options) => ({ id: "background-agents", server: connect(options), setup: setup(options) })
