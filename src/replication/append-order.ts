/**
 * The order of appends to one partition while records are inspected: a batch that came later waits for those before it,
 * whatever its own inspection takes. Inspections themselves run side by side.
 */
export interface AppendTurn {
  /** Called once: `append` runs as soon as the batches before this one have had theirs. It must not throw. */
  take(append: () => void): void
}

interface Waiting extends AppendTurn {
  append: (() => void) | undefined
}

export class AppendOrder {
  readonly #turns: Waiting[] = []

  /** Nobody waits: an append now is in order without a turn. */
  get isFree(): boolean {
    return this.#turns.length === 0
  }

  enter(): AppendTurn {
    const turn: Waiting = {
      append: undefined,
      take: (append) => {
        turn.append = append
        if (this.#turns[0] === turn) this.#run()
      },
    }
    this.#turns.push(turn)
    return turn
  }

  #run(): void {
    let done = 0
    // What runs may enter a turn, behind those that wait.
    for (; this.#turns[done]?.append !== undefined; done++) this.#turns[done]!.append!()
    this.#turns.splice(0, done)
  }
}
