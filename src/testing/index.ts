/**
 * testing: a real broker inside the test process, with real sockets and a folder of its own.
 *
 *   const { bootstrap, close } = await startBroker()
 *   … new Producer({ bootstrap }) …
 *   await close()
 */
export { type StartBrokerOptions, startBroker, type TestBroker } from './start-broker.ts'
