/**
 * The order of `Log.append` calls while one of them is looked into: those that come later wait for it, and take no
 * memory but their own. One look at a time, so that no more than one batch is open.
 */
const NOTHING = (): void => {}

export class AppendTurns {
  #last: Promise<void> | undefined

  /** Nobody waits: an append now is in order. */
  get isFree(): boolean {
    return this.#last === undefined
  }

  /** When those before have had their turn: `look`, and `append` right behind it unless that throws. */
  take<T>(look: () => Promise<void>, append: () => Promise<T>): Promise<T> {
    const before = this.#last
    const begin = async (): Promise<{ appended: Promise<T> }> => {
      await before
      await look()
      return { appended: append() }
    }
    const begun = begin()
    const over = begun.then(NOTHING, NOTHING)
    this.#last = over
    void over.then(() => {
      if (this.#last === over) this.#last = undefined
    })
    return begun.then(({ appended }) => appended)
  }
}
