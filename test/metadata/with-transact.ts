import type { MetadataStore } from '../../src/metadata/index.ts'

/** The store as somebody sees it whose transactions go another way; everything else is the store's own. */
export function withTransact(store: MetadataStore, transact: MetadataStore['transact']): MetadataStore {
  return {
    get: (key) => store.get(key),
    range: (prefix) => store.range(prefix),
    watch: (prefix, revision, listener) => store.watch(prefix, revision, listener),
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    close: () => store.close(),
    transact,
  }
}
