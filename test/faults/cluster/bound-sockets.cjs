/**
 * Loaded before a program of a host behind proxies (proxied-hosts.ts): its connections come from that host's own address,
 * by which a proxy knows who connects. CommonJS on purpose, like the command: the loader of an ES module would start
 * libuv's thread pool before its size is set.
 */
const { Socket } = require('node:net')

const localAddress = process.env.PAGELOG_FAULT_HOST
const { connect } = Socket.prototype

Socket.prototype.connect = function connectFromHere(...args) {
  // node:net's own callers hand over one list, which begins with the options.
  const list = Array.isArray(args[0]) ? args[0] : args
  if (typeof list[0] !== 'object') throw new TypeError('a connection of a test is asked for by an object of options')
  // HTTP says null where there is none.
  if (list[0].path == null) list[0] = { ...list[0], localAddress: list[0].localAddress ?? localAddress }
  return connect.apply(this, args)
}
