/**
 * A page in a real browser: Chromium without a window, spoken to by its DevTools protocol over a pipe, so that a size, a colour
 * scheme and the page's own scripts can be set. Nothing is fetched but the file; the profile is a directory that is removed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

const START_FLAGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-pipe'],
  ...['--no-first-run', '--disable-extensions', '--disable-background-networking', '--hide-scrollbars'],
]
const ANSWER_MS_MAX = 60_000

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

interface Waiting {
  readonly resolve: (result: Record<string, unknown>) => void
  readonly reject: (error: Error) => void
}

export interface View {
  readonly width: number
  readonly height: number
  readonly scheme: 'light' | 'dark'
}

export class Browser {
  readonly #process: ChildProcess
  readonly #profile: string
  readonly #waiting = new Map<number, Waiting>()
  readonly #events = new Map<string, () => void>()
  readonly #exited: Promise<void>
  #sent = 0
  #partial = ''
  #session: string | undefined

  private constructor(process: ChildProcess, profile: string) {
    this.#process = process
    this.#profile = profile
    const answers = process.stdio[4] as Readable
    answers.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#exited = new Promise((resolve) => process.once('close', () => resolve()))
    process.once('error', (error) => this.#fail(error))
    void this.#exited.then(() => this.#fail(new Error('the browser has ended')))
  }

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'pagelog-browser-'))
    const flags = [...START_FLAGS, `--user-data-dir=${profile}`, 'about:blank']
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const
    const browser = new Browser(spawn('chromium', flags, { stdio: [...stdio] }), profile)
    const { targetId } = await browser.#call('Target.createTarget', { url: 'about:blank' })
    const attached = await browser.#call('Target.attachToTarget', { targetId, flatten: true })
    browser.#session = attached.sessionId as string
    await browser.#call('Page.enable')
    // Of the page; what tests evaluate runs all the same.
    await browser.#call('Emulation.setScriptExecutionDisabled', { value: true })
    return browser
  }

  /** Resolves when the page has been loaded. */
  async open(url: string, { width, height, scheme }: View): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 600 }
    await this.#call('Emulation.setDeviceMetricsOverride', metrics)
    const features = [{ name: 'prefers-color-scheme', value: scheme }]
    await this.#call('Emulation.setEmulatedMedia', { features })
    const loaded = new Promise<void>((resolve) => this.#events.set('Page.loadEventFired', resolve))
    const { errorText } = await this.#call('Page.navigate', { url })
    if (typeof errorText === 'string') throw new Error(`${url}: ${errorText}`)
    await loaded
  }

  /** The value of an expression in the page. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.#call('Runtime.evaluate', { expression, returnByValue: true })
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return (result as { value: Value }).value
  }

  /** PNG of what the view shows, or of the whole page. */
  async screenshot(whole = false): Promise<Buffer> {
    const asked = { format: 'png', captureBeyondViewport: whole }
    const { data } = await this.#call('Page.captureScreenshot', asked)
    return Buffer.from(data as string, 'base64')
  }

  /** Asked to, the browser ends after its own processes: killed, these would go on writing to the profile. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), ANSWER_MS_MAX)
    // Of the browser, not of the page.
    this.#session = undefined
    await this.#call('Browser.close').catch(() => {})
    await this.#exited
    clearTimeout(timer)
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  #call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#sent
    const session = this.#session === undefined ? {} : { sessionId: this.#session }
    const answered = new Promise<Record<string, unknown>>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), ANSWER_MS_MAX)
      const settle = (work: () => void) => {
        clearTimeout(timer)
        work()
      }
      this.#waiting.set(id, {
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      })
    })
    const pipe = this.#process.stdio[3] as Writable
    pipe.write(`${JSON.stringify({ id, method, params, ...session })}\0`)
    return answered
  }

  /** Messages end with a zero byte. */
  #read(text: string): void {
    const messages = (this.#partial + text).split('\0')
    this.#partial = messages.pop() ?? ''
    for (const message of messages) {
      const { id, method, result, error } = JSON.parse(message) as Answer
      if (method !== undefined) this.#events.get(method)?.()
      if (id === undefined) continue
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result ?? {})
      else waiting?.reject(new Error(error.message))
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
