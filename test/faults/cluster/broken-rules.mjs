/**
 * Replication with one rule broken, under the name of what is wrong: each must be found by the simulation and by the tests
 * with processes, or those prove nothing. Plain JavaScript, because brokers with them run from what is built
 * (broken-pagelog.mjs) and simulations from the sources.
 *
 * @param sound the rules as they should be
 */
export function brokenRules(sound) {
  return {
    /** A producer is told that its batch is stored when it has only been handed over. */
    'ack before write': { ...sound, append: appendUnseen },
    /** A follower begins by cutting its log to the high watermark that it knows, which is behind (KIP-101). */
    'truncate by high watermark': { ...sound, keptToFollow: (log) => log.highWatermark },
    /** A leader serves fetches of whatever epoch, and does not see that the reader's log parts from its own. */
    'no epoch check': { ...sound, comparesLeaderEpochs: false, comparesLastEpochs: false },
    /** A part of it. */
    'no leader epoch check': { ...sound, comparesLeaderEpochs: false },
    /** A leader writes its ISR over whatever the others have agreed on meanwhile. */
    'ISR change without compare': { ...sound, isrStore: (store) => ({ change: (change) => overwrite(store, change) }) },
    /** It looks whether nobody else has changed it, and then writes. */
    'ISR change compared too early': {
      ...sound,
      isrStore: (store) => ({ change: (change) => lookAndWrite(store, change) }),
    },
    /** A leader that was replaced tells those who wait that all is well, and commits alone whatever its lease says. */
    'zombie leader acks': { ...sound, answerOfLost: () => 0, commitsAlone: () => true },
  }
}

function appendUnseen(log, batch, epoch) {
  // The bytes of the request are given back with the answer.
  log.appendBatch(Uint8Array.from(batch), epoch).catch(() => {})
  return Promise.resolve({ baseOffset: -1, lastOffset: -1, logAppendTimeMs: -1, duplicate: false })
}

async function lookAndWrite(store, change) {
  const { topicId, index, leader, leaderEpoch, partitionEpoch } = change
  const { pair } = await store.get(`partitions/${topicId}/${index}`)
  const state = pair && JSON.parse(pair.value)
  const isAsKnown = state?.leader === leader && state.leaderEpoch === leaderEpoch
  if (!isAsKnown || state.partitionEpoch !== partitionEpoch) return { changed: false, state }
  return await overwriteWith(store, state, change)
}

async function overwrite(store, change) {
  const { pair } = await store.get(`partitions/${change.topicId}/${change.index}`)
  if (pair === undefined) return { changed: false, state: undefined }
  return await overwriteWith(store, JSON.parse(pair.value), change)
}

async function overwriteWith(store, state, { topicId, index, isr, minIsr }) {
  const key = `partitions/${topicId}/${index}`
  const gone = [...new Set([...state.elr, ...state.isr])].filter((id) => !isr.includes(id))
  const elr = isr.length < minIsr ? gone : []
  const next = { ...state, isr, elr, partitionEpoch: state.partitionEpoch + 1 }
  await store.transact([], [{ type: 'put', key, value: JSON.stringify(next) }])
  return { changed: true, state: next }
}
