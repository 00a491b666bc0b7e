// Duplicates of descriptors; see descriptors.h.

#include "descriptors.h"

#if defined(__linux__)

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "arguments.h"
#include "environment.h"
#include "pool_call.h"

namespace pagelog {

Descriptors::~Descriptors() {
  for (const int fd : owned_) ::close(fd);
}

int Descriptors::duplicate(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return -errno;
  owned_.insert(copy);
  return copy;
}

int Descriptors::close(int fd) {
  if (owned_.erase(fd) == 0) return -EBADF;
  // On Linux the number is free whatever close answers; it is never tried again.
  return ::close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

Napi::Value duplicate_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  if (!arguments.descriptor(0, "fd", &fd)) return Napi::Value();
  const int copy = Environment::of(info.Env()).descriptors.duplicate(fd);
  if (copy < 0) {
    throw_system_error(info.Env(), -copy, "fcntl");
    return Napi::Value();
  }
  return Napi::Number::New(info.Env(), copy);
}

Napi::Value close_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  if (!arguments.descriptor(0, "fd", &fd)) return Napi::Value();
  const int result = Environment::of(info.Env()).descriptors.close(fd);
  if (result < 0) throw_system_error(info.Env(), -result, "close");
  return info.Env().Undefined();
}

}  // namespace pagelog

#endif
