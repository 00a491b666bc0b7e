/** Java's properties format, as in server.properties: `key=value`, `key: value` or `key value`, comments, continuations. */

/** Name -> text; the last of several wins. */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>()
  for (const line of logicalLines(text)) {
    const match = /^((?:\\.|[^\\=:\s])*)\s*(?:[=:]\s*)?(.*)$/s.exec(line)
    if (match && match[1] !== '') properties.set(unescaped(match[1]!), unescaped(match[2]!).trimEnd())
  }
  return properties
}

function logicalLines(text: string): string[] {
  const lines: string[] = []
  let continued = false
  for (const raw of text.split(/\r\n|\n|\r/)) {
    const line = raw.trimStart()
    if (!continued && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const more = /(?:^|[^\\])(?:\\\\)*\\$/.test(line)
    const content = more ? line.slice(0, -1) : line
    if (continued) lines[lines.length - 1] += content
    else lines.push(content)
    continued = more
  }
  return lines
}

const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (_, hex: string | undefined, one: string | undefined) =>
    hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : (escapes[one!] ?? one!),
  )
}
