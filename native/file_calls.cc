// System calls on descriptors; see file_calls.h.

#include "file_calls.h"

#if defined(__linux__)

#include <cerrno>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "arguments.h"
#include "pool_call.h"

namespace pagelog {
namespace {

constexpr int kWouldWait = -1;
constexpr int kUnsupported = -2;

class AllocateCall final : public PoolCall {
 public:
  AllocateCall(int fd, int64_t position, int64_t length) : fd_(fd), position_(position), length_(length) {}

 private:
  Outcome run() noexcept override {
    int result;
    do {
      result = fallocate(fd_, FALLOC_FL_KEEP_SIZE, position_, length_);
    } while (result != 0 && errno == EINTR);
    if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return Outcome{};
    return Outcome{0, errno, nullptr};
  }
  const char* name() const noexcept override { return "fallocate"; }

  const int fd_;
  const int64_t position_;
  const int64_t length_;
};

class DropCacheCall final : public PoolCall {
 public:
  DropCacheCall(int fd, int64_t position, int64_t length) : fd_(fd), position_(position), length_(length) {}

 private:
  Outcome run() noexcept override {
    return Outcome{0, posix_fadvise(fd_, position_, length_, POSIX_FADV_DONTNEED), nullptr};
  }
  const char* name() const noexcept override { return "posix_fadvise"; }

  const int fd_;
  const int64_t position_;
  const int64_t length_;
};

template <typename Call>
Napi::Value range_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  int64_t position = 0;
  int64_t length = 0;
  if (!arguments.descriptor(0, "fd", &fd) || !arguments.file_position(1, "position", &position) ||
      !arguments.file_position(2, "length", &length)) {
    return Napi::Value();
  }
  return PoolCall::start(info.Env(), std::make_unique<Call>(fd, position, length));
}

}  // namespace

Napi::Value try_read_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  Bytes into;
  int64_t position = 0;
  if (!arguments.descriptor(0, "fd", &fd) || !arguments.bytes(1, "into", &into) ||
      !arguments.file_position(2, "position", &position)) {
    return Napi::Value();
  }
  const iovec part{into.data, into.length};
  ssize_t count;
  do {
    count = preadv2(fd, &part, 1, position, RWF_NOWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0) count = errno == EAGAIN ? kWouldWait : kUnsupported;
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value allocate_call(const Napi::CallbackInfo& info) { return range_call<AllocateCall>(info); }

Napi::Value drop_cache_call(const Napi::CallbackInfo& info) { return range_call<DropCacheCall>(info); }

Napi::Value lock_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  if (!arguments.descriptor(0, "fd", &fd)) return Napi::Value();
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;  // start 0, length 0: all of the file
  if (fcntl(fd, F_OFD_SETLK, &whole) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == EAGAIN || errno == EACCES) return Napi::Boolean::New(info.Env(), false);
  throw_system_error(info.Env(), errno, "fcntl");
  return Napi::Value();
}

}  // namespace pagelog

#endif
