// Bytes and file regions to a socket, one after the other, in the thread pool: a cold page makes a pool thread wait, never
// the event loop, and a full socket for no longer than it is told to.
#pragma once

#include <napi.h>

namespace pagelog {

// sendRun(socketFd, bytes, pieces, patienceMs) -> Promise of the bytes that the socket has taken. `pieces` is a Float64Array, three
// numbers a piece: descriptor, position and length of a file region; with a descriptor of -1 position and length in
// `bytes`, a Uint8Array that is copied before the call returns. While the socket is full it
// waits, for `patienceMs` (0 to 100) in all. Fewer bytes than asked for: the socket is full (or an
// error or the end of a file came after these bytes; the next call meets it again). Rejects with code `EOF` when the
// file of the first piece ends at its position, else with the errno's name. `socketFd` must be a duplicate made here.
Napi::Value send_run_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
