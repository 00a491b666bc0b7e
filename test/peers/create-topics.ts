/** Topics on a broker that answers before it knows them itself. */
import { vi } from 'vitest'
import type { Admin } from '../../src/client/index.ts'

/** Creates topics and waits until the broker leads them: Apache Kafka answers when its controller has them, a moment earlier. */
export async function createTopics(admin: Admin, topics: Parameters<Admin['createTopics']>[0]): Promise<void> {
  await admin.createTopics(topics)
  const names = topics.map(({ topic }) => topic)
  const led = async () => {
    const described = await admin.describeTopics(names)
    return described.every(({ partitions }) => partitions.every(({ leaderId }) => leaderId >= 0))
  }
  await vi.waitUntil(() => led().catch(() => false), { timeout: 30_000 })
}
