// What OpenCode's terminal loads for the panel: `tui.json` and `cli.json` name this file. OpenCode 1
// calls `tui`, OpenCode 2 `setup`, and each loads its own half alone: the other's may need what is
// not there.

export default {
  id: "background-agents",
  tui: async (...given) => (await import("./v1/panel.js")).default.tui(...given),
  setup: async (context) => (await import("./v2/panel.js")).setup(context),
}
