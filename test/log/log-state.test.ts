import { expect, test } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { LogState } from '../../src/log/log-state.ts'
import { Segment } from '../../src/log/segment.ts'
import { Segments } from '../../src/log/segments.ts'
import { defaults } from './support.ts'

test('a log that closes while a segment is loaded does not close its file under others that have it pinned', async () => {
  const disk = memoryDisk()
  await disk.makeDirectory('/log')
  const context = { disk, clock: new VirtualClock(), directory: '/log', settings: defaults }
  const segment = await Segment.create(context, 0)
  const parts = { context, segments: new Segments([segment]) } as unknown as ConstructorParameters<typeof LogState>[0]
  const offsets = { logStartOffset: 0, recoveryPoint: 0, firstDirtyOffset: 0 }
  const state = new LogState(parts, offsets, () => {})
  segment.pins++ // by a sync of it
  const pinning = state.pin(segment)
  state.isClosed = true
  await expect(pinning).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  await segment.file.dataSync()
  segment.unpin()
  await expect(state.pin(segment)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  expect([segment.pins, segment.isOpen]).toEqual([0, false])
})
