/** Runs a CommonJS script in a Node process of its own, with `addon` as the path of the addon: for what may end a process. */
import { execFile } from 'node:child_process'
import { addonPath } from './implementations.ts'

export interface ScriptResult {
  readonly code: number | string | null
  readonly signal: string | null
  readonly output: string
  readonly errors: string
}

export interface ScriptOptions {
  readonly nodeOptions?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export function runScript(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
  const text = `const addonPath = ${JSON.stringify(addonPath)}; const addon = require(addonPath); ${script}`
  const env = { ...process.env, PAGELOG_NATIVE: '', NODE_OPTIONS: '', ...options.env }
  return new Promise((resolve) => {
    execFile(process.execPath, [...(options.nodeOptions ?? []), '-e', text], { env }, (error, output, errors) => {
      resolve({ code: error ? (error.code ?? null) : 0, signal: error?.signal ?? null, output, errors })
    })
  })
}
