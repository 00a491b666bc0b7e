/**
 * What an encoded message is made of. `records` fields are not copied: the bytes around them are written, and what the
 * caller gave is put in between, be it memory or regions of files.
 */

/** Something to be sent that is not in memory, such as env's FileRegion; only its length matters here. */
export interface Region {
  readonly length: number
}

export type Part<R extends Region = Region> = Uint8Array | R

/** The value of a `records` or `bytes` field that exists in several parts. */
export interface Spliced<R extends Region = Region> {
  /** Sum of the parts' lengths. */
  readonly byteLength: number
  readonly parts: readonly Part<R>[]
}

/**
 * What the encoder takes for a body of type T: the same, with every field optional at every depth (a missing one gets
 * its default) and byte fields also as {@link Spliced}.
 */
export type Input<T> = T extends Uint8Array
  ? Uint8Array | Spliced
  : T extends readonly (infer E)[]
    ? readonly Input<E>[]
    : T extends object
      ? { readonly [K in keyof T]?: Input<T[K]> | undefined }
      : T
