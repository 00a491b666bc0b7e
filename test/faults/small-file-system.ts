/**
 * An ext4 file system of its own in an image file: small enough to be filled, and one that may lose its power. Needs
 * root (mount, loop devices). Whatever happens it is unmounted at the latest when this process ends.
 */
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * EXT4_IOC_SHUTDOWN with NOLOGFLUSH: from now on the file system writes nothing, neither data nor its journal, as if the
 * power were gone. Perl, because it is everywhere and can call ioctl.
 */
const SHUT_DOWN = `open(my $dir, '<', $ARGV[0]) or die "open: $!";
my $flags = pack('L', 2);
ioctl($dir, 0x8004587d, $flags) or die "ioctl: $!";`

export class SmallFileSystem implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string
  readonly #parent: string
  readonly #image: string
  #isMounted = false
  readonly #atExit = (): void => {
    if (this.#isMounted) execFileSync('umount', ['-l', this.path])
    rmSync(this.#parent, { recursive: true, force: true })
  }

  private constructor() {
    this.#parent = mkdtempSync(join(tmpdir(), 'pagelog-faults-'))
    this.path = join(this.#parent, 'mounted')
    this.#image = join(this.#parent, 'image')
    mkdirSync(this.path)
    process.once('exit', this.#atExit)
  }

  static async make(bytes: number): Promise<SmallFileSystem> {
    const made = new SmallFileSystem()
    const image = await open(made.#image, 'w')
    await image.truncate(bytes)
    await image.close()
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', made.#image]) // -m 0: root gets no more than others
    await made.#mount()
    return made
  }

  /** What was not synced is lost. Processes that use it must be gone before `restorePower`. */
  async cutPower(): Promise<void> {
    await run('perl', ['-e', SHUT_DOWN, this.path])
  }

  async restorePower(): Promise<void> {
    await this.#unmount()
    await this.#mount()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily when a test that failed left a file open; it goes when that is closed.
    if (this.#isMounted) await this.#unmount().catch(() => run('umount', ['-l', this.path]))
    process.off('exit', this.#atExit)
    rmSync(this.#parent, { recursive: true, force: true })
  }

  async #mount(): Promise<void> {
    await run('mount', ['-t', 'ext4', '-o', 'loop', this.#image, this.path])
    this.#isMounted = true
  }

  async #unmount(): Promise<void> {
    await run('umount', [this.path])
    this.#isMounted = false
  }
}
