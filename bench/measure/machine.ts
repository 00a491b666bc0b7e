/** The machine and the commit that a result belongs to: without them a number says nothing. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly architecture: string
  readonly kernel: string
  readonly fileSystem: string
  readonly freeBytes: number
  readonly node: string
  readonly java: string | null
  readonly openFiles: string | null
  readonly governor: string | null
  /** Of TCP, as new connections have it. Older results do not name it. */
  readonly congestionControl?: string | null
}

export function describeMachine(directory: string, java: string | null = null): Machine {
  const processors = cpus()
  const disk = statfsSync(directory)
  return {
    cpu: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    architecture: arch(),
    kernel: `${platform()} ${release()}`,
    fileSystem: fileSystemOf(directory),
    freeBytes: disk.bavail * disk.bsize,
    node: process.version,
    java,
    openFiles: firstMatch('/proc/self/limits', /^Max open files\s+(\d+|unlimited)/m),
    governor: firstMatch('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', /(\S+)/),
    congestionControl: firstMatch('/proc/sys/net/ipv4/tcp_congestion_control', /(\S+)/),
  }
}

/** Type of the mount that holds `directory` (ext4, tmpfs, …): the longest mount point that is a prefix of it. */
export function fileSystemOf(directory: string): string {
  try {
    let best = { point: '', type: 'unknown' }
    for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
      const [, point, type] = line.split(' ')
      if (point === undefined || type === undefined) continue
      const inside = point === '/' || directory === point || directory.startsWith(`${point}/`)
      if (inside && point.length >= best.point.length) best = { point, type }
    }
    return best.type
  } catch {
    return 'unknown'
  }
}

/** Commit of the repository at `root`, `-dirty` when files differ from it; undefined outside a repository. */
export function commitOf(root: string): string | undefined {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    const commit = git('rev-parse', '--short=12', 'HEAD')
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}-dirty`
  } catch {
    return undefined
  }
}

function firstMatch(path: string, pattern: RegExp): string | null {
  try {
    return pattern.exec(readFileSync(path, 'latin1'))?.[1] ?? null
  } catch {
    return null
  }
}
