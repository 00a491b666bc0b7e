#!/usr/bin/env node
// CommonJS on purpose: the loader of an ES module starts libuv's thread pool, whose size must be set before.
process.env.UV_THREADPOOL_SIZE ??= '8'
import('../dist/src/cli/main.js')
