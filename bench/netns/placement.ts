/**
 * Where the processes of a run live. On loopback all are neighbours; with namespaces (namespaces.ts) each broker and each
 * client has a place of its own, with an address and a command that starts a program there.
 */
export interface Place {
  /** Address at which what is started here can be reached. */
  readonly host: string
  /** What to run so that `command` runs here. */
  wrap(command: string, args: readonly string[]): { readonly command: string; readonly args: readonly string[] }
}

export interface Placement {
  /** For people and results: `loopback`, `1gbit`. */
  readonly name: string
  broker(index: number): Place
  client(index: number): Place
  close(): Promise<void>
}

const here: Place = { host: '127.0.0.1', wrap: (command, args) => ({ command, args }) }

export const loopback: Placement = {
  name: 'loopback',
  broker: () => here,
  client: () => here,
  close: async () => {},
}
