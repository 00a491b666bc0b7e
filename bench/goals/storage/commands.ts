/** What a station can do; each is called by name with plain data. State between calls: one store, one log. */
import {
  type CompactionSettings,
  closeCompaction,
  openCompaction,
  prepareTurn,
  type TurnInput,
  type TurnOutput,
  takeTurn,
} from './compaction-commands.ts'
import {
  closeDirectory,
  type FillInput,
  fill,
  forget,
  makeDirectory,
  type OpenOutput,
  openDirectory,
  type ReadInput,
  type ReadOutput,
  randomReads,
  readWhole,
  sequentialRead,
} from './log-commands.ts'
import {
  type AppendInput,
  type AppendOutput,
  append,
  closeStore,
  openStore,
  type StoreInput,
} from './store-commands.ts'

export interface Commands {
  openStore(input: StoreInput): Promise<void>
  append(input: AppendInput): Promise<AppendOutput>
  closeStore(input: null): Promise<void>
  /** Fills a log and keeps it open for reads. */
  fill(input: FillInput): Promise<{ readonly bytes: number; readonly records: number }>
  sequentialRead(input: ReadInput): Promise<ReadOutput>
  randomReads(input: {
    readonly count: number
  }): Promise<{ readonly p50: number; readonly p99: number; readonly max: number }>
  forget(input: { readonly directory: string }): Promise<void>
  makeDirectory(input: { readonly directory: string; readonly partitions: number }): Promise<void>
  openDirectory(input: { readonly directory: string; readonly settings: Record<string, number> }): Promise<OpenOutput>
  closeDirectory(input: { readonly clean: boolean }): Promise<void>
  readWhole(input: { readonly reads: number }): Promise<OpenOutput>
  openCompaction(input: CompactionSettings): Promise<void>
  prepareTurn(input: { readonly keyedBytes: number }): Promise<void>
  takeTurn(input: TurnInput): Promise<TurnOutput>
  closeCompaction(input: null): Promise<void>
}

export const commands: Commands = {
  openStore,
  append,
  closeStore,
  fill,
  sequentialRead,
  randomReads,
  forget,
  makeDirectory,
  openDirectory,
  closeDirectory,
  readWhole,
  openCompaction,
  prepareTurn,
  takeTurn,
  closeCompaction,
}
