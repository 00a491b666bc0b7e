// System calls on descriptors that Node does not offer. Linux only; the descriptors belong to the caller, who keeps them
// open for the length of the call (for a promise: until it is settled).
#pragma once

#include <napi.h>

namespace pagelog {

// tryRead(fd, into, position) -> bytes read; -1: would wait for a device; -2: not possible on this file.
Napi::Value try_read_call(const Napi::CallbackInfo& info);
// allocate(fd, position, length) -> Promise: blocks reserved, size unchanged; nothing where the file system cannot.
Napi::Value allocate_call(const Napi::CallbackInfo& info);
// dropCache(fd, position, length) -> Promise: clean pages of the range leave the page cache.
Napi::Value drop_cache_call(const Napi::CallbackInfo& info);
// lock(fd) -> whether the exclusive lock of this open file was taken. It goes with the last close of it.
Napi::Value lock_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
