import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import type { BrokerValue } from '../../src/metadata/index.ts'
import { IncarnationFile, leaveCluster } from '../../src/replication/cluster/index.ts'
import { BrokerRegistration } from '../../src/replication/index.ts'
import { FakeCluster, SESSION_MS } from './fake-cluster.ts'

let cluster: FakeCluster
beforeEach(async () => {
  cluster = await FakeCluster.start()
})
afterEach(() => cluster.close())

describe('a registration', () => {
  test('is a key on a lease; its create revision is the broker epoch', async () => {
    const { registration } = await cluster.add(4)
    const { pair } = await cluster.store.get('brokers/4')
    expect(pair).toMatchObject({ createRevision: registration.brokerEpoch, lease: registration.leaseId })
    expect(JSON.parse(pair!.value)).toMatchObject({ id: 4, host: 'host', port: 9004, lease: registration.leaseId })
    await cluster.image.reached(registration.brokerEpoch)
    expect(cluster.image.brokers.get(4)?.epoch).toBe(registration.brokerEpoch)
  })

  test('lives as long as it is kept alive, whatever its session time', async () => {
    const { registration } = await cluster.add(1)
    const epoch = registration.brokerEpoch
    await cluster.pass(10 * SESSION_MS)
    expect(registration.brokerEpoch).toBe(epoch)
    expect(registration.leaseValid()).toBe(true)
  })

  test('ends at once when the broker closes', async () => {
    const broker = await cluster.add(1)
    await broker.close()
    expect((await cluster.store.get('brokers/1')).pair).toBeUndefined()
    expect(broker.registration.brokerEpoch).toBe(0)
    expect(broker.registration.leaseValid()).toBe(false)
  })

  test('is refused while another broker has the node id, and says what to do', async () => {
    await cluster.add(1)
    await expect(cluster.add(1, { past: ['some other life'] })).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
      message: expect.stringMatching(/^node\.id=1 is in use by the broker at host:9001.*another node\.id/) as string,
    })
  })

  test("takes that of an earlier life over, the controller's office with it", async () => {
    const first = await cluster.add(1)
    await cluster.until(() => cluster.image.controller?.id === 1)
    const { epoch } = cluster.image.controller!
    first.kill()
    const second = await cluster.add(1, { past: [first.registration.incarnation] })
    expect(second.registration.brokerEpoch).toBeGreaterThan(first.registration.brokerEpoch)
    await cluster.until(() => (cluster.image.controller?.epoch ?? epoch) !== epoch)
  })
})

describe('a lease', () => {
  test('is trusted for four fifths of its time since the last keep-alive was sent', async () => {
    const broker = await cluster.add(1)
    broker.clock.stop()
    await cluster.pass(SESSION_MS * 0.8 - 100)
    expect(broker.registration.leaseValid()).toBe(true)
    await cluster.pass(200)
    expect(broker.registration.leaseValid()).toBe(false)
  })

  test('that is lost fences the broker in the same turn, which is back under another epoch', async () => {
    const broker = await cluster.add(1)
    const { registration } = broker
    const epoch = registration.brokerEpoch
    const seen: string[] = []
    registration.onFenced(() => seen.push(`fenced ${registration.brokerEpoch} ${registration.leaseValid()}`))
    registration.onRegistered(() => seen.push('registered'))
    broker.clock.stop()
    await cluster.pass(SESSION_MS + 1000)
    await cluster.until(() => !cluster.image.brokers.has(1))
    broker.clock.resume()
    await cluster.until(() => seen.length === 2)
    expect(seen).toEqual(['fenced 0 false', 'registered'])
    expect(registration.brokerEpoch).toBeGreaterThan(epoch)
  })

  test('that lives while the key is another one ends with it; a late image ends nothing', async () => {
    const { registration } = await cluster.add(1)
    const { brokerEpoch: epoch, leaseId } = registration
    await registration.verify()
    expect(registration.brokerEpoch).toBe(epoch)
    await cluster.store.transact([], [{ type: 'delete', key: 'brokers/1' }])
    await registration.verify()
    await cluster.until(() => registration.brokerEpoch > epoch)
    await expect(cluster.store.keepAlive(leaseId!)).rejects.toMatchObject({ code: 'PAGELOG_LEASE_LOST' })
  })

  test('that somebody revoked is found out by looking', async () => {
    const { registration } = await cluster.add(1)
    const epoch = registration.brokerEpoch
    await cluster.store.revokeLease(registration.leaseId!)
    await registration.check()
    await cluster.until(() => registration.brokerEpoch > epoch)
  })

  test('that cannot be kept alive because the store is away fences nobody', async () => {
    const { clock, store } = cluster
    let away = false
    const keepAlive = (id: string) => (away ? Promise.reject(new Error('unreachable')) : store.keepAlive(id))
    const flaky = new Proxy(store, {
      get: (target, name) =>
        name === 'keepAlive' ? keepAlive : (Reflect.get(target, name, target) as () => unknown).bind?.(target),
    })
    const registration = await BrokerRegistration.register({
      store: flaky,
      clock,
      logger: silentLogger,
      broker: { id: 9, host: 'h', port: 1, rack: '', bootId: 'b', incarnation: 'i' },
      past: [],
      sessionTimeoutMs: SESSION_MS,
      heartbeatIntervalMs: 2000,
      returning: () => Promise.resolve(),
    })
    let fenced = 0
    registration.onFenced(() => fenced++)
    away = true
    await cluster.pass(SESSION_MS - 500)
    expect([fenced, registration.brokerEpoch > 0, registration.leaseValid()]).toEqual([0, true, false])
    away = false
    await registration.check()
    expect(registration.leaseValid()).toBe(true)
    await registration.close()
  })
})

describe('back after a life that ended', () => {
  test('it leads nothing any more, and is in sync as before, when its machine went on', async () => {
    const first = await cluster.add(1)
    await cluster.add(2)
    await cluster.topic('events', [[1, 2]])
    for (const one of cluster.brokers) await one.controller.close()
    first.kill()
    await cluster.store.revokeLease(first.registration.leaseId!)
    const seen: unknown[] = []
    cluster.image.onChange(({ brokers, partitions }) => {
      if (partitions.size > 0) seen.push([cluster.partition('events').leader, cluster.image.brokers.has(1)])
      else if (brokers.has(1)) seen.push(cluster.image.brokers.has(1) ? 'registered' : 'gone')
    })
    await cluster.add(1, { past: [first.registration.incarnation] })
    await cluster.until(() => seen.includes('registered'))
    // Before it can be elected by anybody.
    expect(seen.slice(0, 2)).toEqual([[-1, false], 'registered'])
    expect(cluster.partition('events').isr).toEqual([1, 2])
  })
})

describe('leaving', () => {
  test('waits until others lead', async () => {
    const [first] = [await cluster.add(1), await cluster.add(2)]
    await cluster.topic('events', [[1, 2]])
    await first!.image.reached(cluster.image.revision)
    const leaving = leaveCluster({ ...first!, logger: silentLogger, nodeId: 1 })
    await cluster.until(() => first!.image.partition('id-of-events', 0)?.leader === 2)
    await cluster.pass(1000)
    expect(await leaving).toBe(true)
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2] })
  })

  test('goes on for a moment when others lead, for clients and leaders that have not heard of it', async () => {
    const [first] = [await cluster.add(1), await cluster.add(2)]
    await cluster.topic('events', [[1, 2]])
    await first!.image.reached(cluster.image.revision)
    let left = false
    const leaving = leaveCluster({ ...first!, logger: silentLogger, nodeId: 1 }).then(() => {
      left = true
    })
    await cluster.until(() => first!.image.partition('id-of-events', 0)?.leader === 2)
    await cluster.pass(50)
    expect(left).toBe(false)
    await cluster.pass(50)
    await leaving
  })

  test('does not wait when nobody else is there', async () => {
    const only = await cluster.add(1)
    await cluster.topic('events', [[1]])
    expect(await leaveCluster({ ...only, logger: silentLogger, nodeId: 1 })).toBe(true)
    expect((JSON.parse((await cluster.store.get('brokers/1')).pair!.value) as BrokerValue).leaving).toBeUndefined()
  })

  test('gives up when nobody moves its leaderships', async () => {
    const [first, second] = [await cluster.add(1), await cluster.add(2)]
    await cluster.topic('events', [[1, 2]])
    await first!.image.reached(cluster.image.revision)
    await cluster.controller()
    for (const one of [first!, second!]) await one.controller.close()
    const leaving = leaveCluster({ ...first!, logger: silentLogger, nodeId: 1 })
    await cluster.until(() => cluster.image.brokers.get(1)?.leaving === true)
    await cluster.pass(11_000)
    expect(await leaving).toBe(false)
  })
})

describe('the incarnation file', () => {
  test('remembers past lives and the boot', async () => {
    const disk = memoryDisk()
    await disk.makeDirectory('/data')
    const file = new IncarnationFile(disk, '/data')
    expect(await file.read()).toBeUndefined()
    await file.write({ bootId: 'b', incarnations: ['second', 'first'] })
    expect(await file.read()).toEqual({ bootId: 'b', incarnations: ['second', 'first'] })
  })

  test.each(['', '{', '{"bootId":1}', '[]'])('damaged (%j) is refused by name', async (text) => {
    const disk = memoryDisk()
    await disk.makeDirectory('/data')
    await disk.replaceFile('/data/pagelog-incarnation.json', new TextEncoder().encode(text))
    await expect(new IncarnationFile(disk, '/data').read()).rejects.toMatchObject({
      code: 'PAGELOG_CORRUPT',
      message: expect.stringContaining('/data/pagelog-incarnation.json') as string,
    })
  })
})
