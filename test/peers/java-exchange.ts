/** Java programs that answer questions, each in a JVM of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mavenClasspath } from '../../bench/peers/java.ts'
import { Exchange } from './exchange.ts'

export class JavaExchange<Answer> extends Exchange<Answer> {
  /** Runs a source file with the jars of a pom. */
  static async run(pomPath: string, sourcePath: string): Promise<ChildProcessWithoutNullStreams> {
    const classpath = await mavenClasspath(pomPath)
    return spawn('java', ['-Xmx256M', '-cp', classpath, sourcePath])
  }
}
