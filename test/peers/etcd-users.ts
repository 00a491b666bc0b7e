/** Users of a test's etcd: root, and one for brokers with rights below `pagelog/` only. */
import { readFileSync } from 'node:fs'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { EtcdOptions, TestEtcd } from './etcd.ts'

export const BROKER_USER = 'broker'
export const BROKER_PASSWORD = 'word'

export interface EtcdUsers {
  enable(): Promise<void>
  /** All tokens that were given are void after it. */
  forgetTokens(): Promise<void>
}

/** Makes them; nobody is asked for a password before `enable`. */
export async function etcdUsers(etcd: TestEtcd, tls?: EtcdOptions['tls']): Promise<EtcdUsers> {
  const { host, port } = etcd.endpoints[0]!
  let token = ''
  const post = async (path: string, body: object): Promise<{ token?: string }> => {
    const headers = token === '' ? {} : { authorization: token }
    const read = (file: string): string => readFileSync(file, 'utf8')
    const keys = tls ? { ca: read(tls.ca), cert: read(tls.client.cert), key: read(tls.client.key) } : {}
    const request = tls ? requestHttps : requestHttp
    const [status, text] = await new Promise<[number | undefined, string]>((resolve, reject) => {
      const asked = request({ host, port, path: `/v3/auth/${path}`, method: 'POST', headers, ...keys }, (answer) => {
        let received = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => {
          received += part
        })
        answer.on('end', () => resolve([answer.statusCode, received]))
      })
      asked.on('error', reject)
      asked.end(JSON.stringify(body))
    })
    if (status !== 200) throw new Error(`${path}: ${text}`)
    return JSON.parse(text) as { token?: string }
  }
  const logIn = async () => {
    token = (await post('authenticate', { name: 'root', password: 'secret' })).token!
  }
  await post('role/add', { name: 'root' })
  await post('user/add', { name: 'root', password: 'secret' })
  await post('user/grant', { user: 'root', role: 'root' })
  await post('role/add', { name: 'brokers' })
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const perm = { permType: 'READWRITE', key: base64('pagelog/'), range_end: base64('pagelog0') }
  await post('role/grant', { name: 'brokers', perm })
  await post('user/add', { name: BROKER_USER, password: BROKER_PASSWORD })
  await post('user/grant', { user: BROKER_USER, role: 'brokers' })
  const enable = async () => {
    await post('enable', {})
    await logIn()
  }
  const forgetTokens = async () => {
    await post('disable', {})
    token = ''
    await enable()
  }
  return { enable, forgetTokens }
}
