// Frames of JSON-RPC are lines, wherever a socket cuts them.

/** Hand each whole line that comes to `onLine`; one of more than `most` characters destroys the stream. */
export function readLines(stream, onLine, most = Infinity) {
  const decoder = new TextDecoder()
  let rest = []
  let held = 0
  stream.on("data", (chunk) => {
    const lines = decoder.decode(chunk, { stream: true }).split("\n")
    rest.push(lines[0])
    held += lines[0].length
    for (let i = 1; i < lines.length; i++) {
      onLine(rest.join(""))
      rest = [lines[i]]
      held = lines[i].length
    }
    if (held > most) stream.destroy(new Error("a line that does not end"))
  })
}
