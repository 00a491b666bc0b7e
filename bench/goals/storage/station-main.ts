/** The program of a station: answers one call after the other; ends when its harness is gone. */
import { commands } from './commands.ts'
import type { StationAnswer, StationCall } from './station.ts'

async function answer({ id, command, input }: StationCall): Promise<StationAnswer> {
  try {
    const run = commands[command] as (input: unknown) => Promise<unknown>
    return { id, output: await run(input) }
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.on('message', (call: StationCall) => {
  void answer(call).then((message) => process.send?.(message))
})
process.once('disconnect', () => process.exit(1))
process.once('SIGTERM', () => process.exit(0))
