/** A certificate authority of our own with a key for a server on loopback and one for a client, made by openssl. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runToEnd } from '../../bench/process/children.ts'
import type { KeyFiles } from './etcd.ts'

export interface Certificates {
  /** Files in PEM. */
  readonly ca: string
  readonly server: KeyFiles
  readonly client: KeyFiles
  remove(): void
}

export async function makeCertificates(): Promise<Certificates> {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-certificates-'))
  const file = (name: string): string => join(directory, name)
  const openssl = (...args: string[]): Promise<string> => runToEnd('openssl', { command: 'openssl', args })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const ca = { cert: file('ca.crt'), key: file('ca.key') }
  await openssl('req', '-x509', ...key, '-keyout', ca.key, '-out', ca.cert, '-days', '2', '-subj', '/CN=test ca')
  const signed = async (name: string): Promise<KeyFiles> => {
    const made = { cert: file(`${name}.crt`), key: file(`${name}.key`) }
    // No common name: where etcd has users too, its gateway refuses certificates that have one.
    await openssl('req', ...key, '-keyout', made.key, '-out', file(`${name}.csr`), '-subj', `/O=${name}`)
    const extensions = file(`${name}.ext`)
    writeFileSync(extensions, 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n')
    const by = ['-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial', '-days', '2', '-extfile', extensions]
    await openssl('x509', '-req', '-in', file(`${name}.csr`), '-out', made.cert, ...by)
    return made
  }
  const [server, client] = [await signed('server'), await signed('client')]
  return { ca: ca.cert, server, client, remove: () => rmSync(directory, { recursive: true, force: true }) }
}
