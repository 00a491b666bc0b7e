/**
 * The `pagelog` command with one rule of replication broken (broken-rules.mjs), from what is built:
 *
 *   node broken-pagelog.mjs 'ack before write' broker …
 *   node broken-pagelog.mjs 'ack before write' cluster start …     all of its brokers are broken
 */
import { fileURLToPath } from 'node:url'
import { brokenRules } from './broken-rules.mjs'

process.env.UV_THREADPOOL_SIZE ??= '8'
const built = '../../../dist/src'
const { soundRules } = await import(`${built}/replication/index.js`)
const [name, command, ...rest] = process.argv.slice(2)
const replicationRules = brokenRules(soundRules)[name]
if (replicationRules === undefined) throw new Error(`there is no broken rule '${name}'`)
const launcher = [process.execPath, fileURLToPath(import.meta.url), name]
const status =
  command === 'cluster'
    ? await (await import(`${built}/cli/cluster-command.js`)).clusterCommand(rest, launcher)
    : await (await import(`${built}/cli/broker-command.js`)).brokerCommand(rest, { replicationRules })
if (status !== undefined) process.exitCode = status
