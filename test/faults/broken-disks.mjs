/** Disks that break a rule of storage on purpose: the checks must notice. */

/** `inner` with some other methods. */
function withMethods(inner, methods) {
  return new Proxy(inner, {
    get(target, name) {
      if (name in methods) return methods[name]
      const found = target[name]
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}

function withFiles(disk, methodsOf) {
  return withMethods(disk, {
    async open(path, mode) {
      const file = await disk.open(path, mode)
      const broken = withMethods(file, {
        writeSynced(parts, position) {
          const written = broken.write(parts, position)
          const synced = written.then(() => broken.dataSync())
          synced.catch(() => {})
          return { written, synced, hurry: () => {} }
        },
        ...methodsOf(file, path),
      })
      return broken
    },
  })
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const faults = {
  /** A write is answered before the kernel has its bytes. */
  'answers-before-write': (disk) =>
    withFiles(disk, (file) => ({
      async write(parts, position) {
        const copies = parts.map((part) => part.slice())
        void wait(20).then(() => file.write(copies, position))
      },
    })),
  /** A sync is answered without being done. */
  'does-not-sync': (disk) => withFiles(disk, () => ({ async dataSync() {} })),
  /** A failed sync is tried again, through another descriptor, and that one is believed. */
  'syncs-again': (disk) =>
    withFiles(disk, (file, path) => ({
      async dataSync() {
        try {
          await file.dataSync()
        } catch {
          const again = await disk.open(path, 'write')
          await again.dataSync()
          await again.close()
        }
      },
    })),
}

export function brokenDisk(fault, disk) {
  const breaks = faults[fault]
  if (breaks === undefined) throw new Error(`no such fault: ${fault}`)
  return breaks(disk)
}
