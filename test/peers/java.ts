/**
 * Java class paths for peers: Maven lays the jars that a pom names in a cache outside the repository, on first use.
 * Needs `mvn` and a JDK on the PATH.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** Where fetched things are kept between runs: PAGELOG_CACHE, else below the user's cache directory. */
export function cacheDirectory(): string {
  return process.env.PAGELOG_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'pagelog')
}

/** The class path (`directory/*`) with everything that the pom depends on. Another text of the pom is another directory. */
export async function javaClasspath(pomPath: string): Promise<string> {
  const digest = createHash('sha256').update(readFileSync(pomPath)).digest('hex').slice(0, 12)
  const jars = join(cacheDirectory(), `java-${basename(dirname(pomPath))}-${digest}`)
  if (!existsSync(jars)) {
    mkdirSync(cacheDirectory(), { recursive: true })
    const fresh = mkdtempSync(`${jars}.`)
    const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
    const args = ['-q', '-B', '-f', pomPath, goal, '-DincludeScope=runtime', `-DoutputDirectory=${fresh}`]
    try {
      await promisify(execFile)('mvn', args)
      // Renamed when complete; another process may have been first.
      if (!existsSync(jars)) renameSync(fresh, jars)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  return join(jars, '*')
}
