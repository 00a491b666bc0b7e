/** Runs `work` for each item, at most `limit` at the same time; waits for all of them, then throws the first failure. */
export async function someAtOnce<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items].values()
  const failures: unknown[] = []
  const runner = async (): Promise<void> => {
    for (const item of waiting) await work(item).catch((error: unknown) => failures.push(error))
  }
  await Promise.all(Array.from({ length: limit }, runner))
  if (failures.length > 0) throw failures[0]
}
