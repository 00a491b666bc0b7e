/** Directories and names in memory, with the errors of a POSIX file system. `F` is what a file is. */
import { ErrnoError } from './errno.ts'

export class DirectoryNode<F> {
  readonly entries = new Map<string, F | DirectoryNode<F>>()
}

/** Where a path leads: the directory that has or would have the name. */
export interface Place<F> {
  readonly directory: DirectoryNode<F>
  readonly name: string
  readonly node: F | DirectoryNode<F> | undefined
}

export class DirectoryTree<F extends object> {
  readonly root = new DirectoryNode<F>()

  /** Undefined when there is nothing. Throws ENOTDIR when a file is used as a directory. */
  find(path: string): F | DirectoryNode<F> | undefined {
    let node: F | DirectoryNode<F> | undefined = this.root
    for (const name of namesOf(path)) {
      if (node === undefined) return undefined
      if (!(node instanceof DirectoryNode)) throw new ErrnoError('ENOTDIR', path)
      node = node.entries.get(name)
    }
    return node
  }

  /** Throws ENOENT when there is no such directory. */
  directory(path: string): DirectoryNode<F> {
    const node = this.find(path)
    if (node === undefined) throw new ErrnoError('ENOENT', path)
    if (!(node instanceof DirectoryNode)) throw new ErrnoError('ENOTDIR', path)
    return node
  }

  /** The place of `path`, whose directory must be there. */
  place(path: string): Place<F> {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) throw new ErrnoError('EISDIR', path)
    const directory = this.directory(`/${names.join('/')}`)
    return { directory, name, node: directory.entries.get(name) }
  }

  /** The file at the place; undefined when there is none. Throws EISDIR. */
  file(place: Place<F>): F | undefined {
    if (place.node instanceof DirectoryNode) throw new ErrnoError('EISDIR', place.name)
    return place.node
  }

  /** Whether `from` may be renamed to `to`; throws what rename(2) would. */
  checkRename(from: Place<F>, to: Place<F>): void {
    if (from.node === undefined) throw new ErrnoError('ENOENT', from.name)
    if (to.node === undefined || to.node === from.node) return
    const isDirectory = from.node instanceof DirectoryNode
    if (to.node instanceof DirectoryNode) {
      if (!isDirectory) throw new ErrnoError('EISDIR', to.name)
      if (to.node.entries.size > 0) throw new ErrnoError('ENOTEMPTY', to.name)
    } else if (isDirectory) throw new ErrnoError('ENOTDIR', to.name)
  }

  /** Paths of the directories on the way to `path`, itself included, that are missing; outermost first. */
  missing(path: string): string[] {
    const names = namesOf(path)
    const paths = names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
    return paths.filter((one) => {
      const node = this.find(one)
      if (node !== undefined && !(node instanceof DirectoryNode)) throw new ErrnoError('ENOTDIR', one)
      return node === undefined
    })
  }
}

/** Relative paths count from the root; `.` and `..` are resolved. */
function namesOf(path: string): string[] {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

export function parentOf(path: string): string {
  return `/${namesOf(path).slice(0, -1).join('/')}`
}
