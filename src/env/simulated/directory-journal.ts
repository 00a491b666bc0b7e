/**
 * Which names of directories are on the device. Creations, renames and removals are in memory first; fsync of their
 * directory makes them durable, with all earlier ones that they build on. A crash keeps some of the others: either the
 * first so many (a journal that commits in order) or any of them that do not build on a lost one. A rename is one step:
 * the new name never stands beside the old one, nor for half of each.
 */
import { DirectoryNode } from '../memory/directory-tree.ts'
import type { SeededRandom } from './seeded-random.ts'

/** Of the crashes that keep changes in order, and of the changes that are lost by the others. */
const IN_ORDER = 0.5
const LOST = 0.4

/** One name; `node` undefined: it is gone. */
export interface NameChange<F> {
  readonly directory: DirectoryNode<F>
  readonly name: string
  readonly node: F | DirectoryNode<F> | undefined
}

type Names<F> = Map<DirectoryNode<F>, Set<string>>

export class DirectoryJournal<F extends object> {
  readonly #durable = new Map<DirectoryNode<F>, Map<string, F | DirectoryNode<F>>>()
  /** Steps that are not on the device yet, oldest first; `#first` is the number of the first of them. */
  #steps: { readonly number: number; readonly changes: readonly NameChange<F>[] }[] = []
  #next = 0

  /** Number of the next step: what a sync that begins now covers, exclusive. */
  get stepCount(): number {
    return this.#next
  }

  get unsyncedSteps(): number {
    return this.#steps.length
  }

  /** Makes the changes, all or none of which will survive. */
  change(changes: readonly NameChange<F>[]): void {
    for (const one of changes) apply(one.directory.entries, one)
    this.#steps.push({ number: this.#next++, changes })
  }

  /** The steps before number `end` that touch `directory` are on the device. */
  sync(directory: DirectoryNode<F>, end: number): void {
    const needed: Names<F> = new Map()
    const kept = new Set<number>()
    for (const { number, changes } of this.#steps.toReversed()) {
      const isAsked = number < end && changes.some((one) => one.directory === directory)
      if (!isAsked && !touches(changes, needed)) continue
      kept.add(number)
      add(changes, needed)
    }
    for (const { number, changes } of this.#steps) if (kept.has(number)) this.#settle(changes)
    this.#steps = this.#steps.filter(({ number }) => !kept.has(number))
  }

  /** The power is gone: what programs see from now on, below `root`. Gives the files that are left. */
  crash(root: DirectoryNode<F>, random: SeededRandom): F[] {
    if (random.chance(IN_ORDER)) this.#steps.length = random.below(this.#steps.length + 1)
    else this.#loseSome(random)
    for (const { changes } of this.#steps) this.#settle(changes)
    this.#steps = []
    const files: F[] = []
    this.#restore(root, files)
    return files
  }

  #loseSome(random: SeededRandom): void {
    const lost: Names<F> = new Map()
    this.#steps = this.#steps.filter(({ changes }) => {
      if (!touches(changes, lost) && !random.chance(LOST)) return true
      add(changes, lost)
      return false
    })
  }

  #settle(changes: readonly NameChange<F>[]): void {
    for (const one of changes) {
      let entries = this.#durable.get(one.directory)
      if (entries === undefined) {
        entries = new Map()
        this.#durable.set(one.directory, entries)
      }
      apply(entries, one)
    }
  }

  #restore(directory: DirectoryNode<F>, files: F[]): void {
    directory.entries.clear()
    for (const [name, node] of this.#durable.get(directory) ?? []) {
      directory.entries.set(name, node)
      if (node instanceof DirectoryNode) this.#restore(node, files)
      else files.push(node)
    }
  }
}

function apply<F>(entries: Map<string, F | DirectoryNode<F>>, { name, node }: NameChange<F>): void {
  if (node === undefined) entries.delete(name)
  else entries.set(name, node)
}

function touches<F>(changes: readonly NameChange<F>[], names: Names<F>): boolean {
  return changes.some(({ directory, name }) => names.get(directory)?.has(name) === true)
}

function add<F>(changes: readonly NameChange<F>[], names: Names<F>): void {
  for (const { directory, name } of changes) {
    const known = names.get(directory)
    if (known === undefined) names.set(directory, new Set([name]))
    else known.add(name)
  }
}
