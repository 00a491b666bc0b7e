// sendfile in the thread pool, non-blocking towards the socket: a cold page makes a pool thread wait, never the event
// loop, and a full socket ends the call at once.
#pragma once

#include <napi.h>

namespace pagelog {

// sendFile(socketFd, fileFd, position, length) -> Promise of the bytes the socket has taken. Fewer than `length`: the
// socket is full (or an error or the end of the file came after these bytes; the next call meets it again). Rejects with
// code `EOF` when the file ends at `position`, else with the errno's name. `socketFd` must be a duplicate made here.
Napi::Value send_file_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
