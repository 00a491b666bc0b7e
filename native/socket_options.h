// What Node does not let us choose for its sockets. Wishes: the kernel has its own bounds, and a descriptor that is no
// socket is left alone.
#pragma once

#include <napi.h>

namespace pagelog {

// limitSendBuffer(socketFd, bytes): the kernel keeps no more than about twice so many unsent bytes (net.core.wmem_max).
Napi::Value limit_send_buffer_call(const Napi::CallbackInfo& info);

// acceptUnpaced(listenerFd): the connections that it accepts from now on send as soon as there is room. With BBR the
// kernel programs a timer for every 64 KiB or so; one that was accepted with it keeps doing so under any other algorithm,
// so it is the listener's that is chosen: Reno, which every kernel has and lets everybody use.
Napi::Value accept_unpaced_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
