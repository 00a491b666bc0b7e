// Options of sockets; see socket_options.h.

#include "socket_options.h"

#if defined(__linux__)

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "arguments.h"

namespace pagelog {

Napi::Value limit_send_buffer_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  size_t bytes = 0;
  if (!arguments.descriptor(0, "socketFd", &fd) || !arguments.position(1, "bytes", 1, INT32_MAX, &bytes)) {
    return Napi::Value();
  }
  const int size = static_cast<int>(bytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return info.Env().Undefined();
}

Napi::Value accept_unpaced_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  if (!arguments.descriptor(0, "listenerFd", &fd)) return Napi::Value();
  constexpr char kAlgorithm[] = "reno";
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kAlgorithm, sizeof kAlgorithm - 1);
  return info.Env().Undefined();
}

}  // namespace pagelog

#endif
