// sendfile in the thread pool; see send_file.h.

#include "send_file.h"

#if defined(__linux__)

#include <cerrno>

#include <fcntl.h>
#include <sys/sendfile.h>

#include "arguments.h"
#include "environment.h"
#include "pool_call.h"

namespace pagelog {
namespace {

class SendFileCall final : public PoolCall {
 public:
  SendFileCall(int socket, int file, int64_t position, int64_t length)
      : socket_(socket), file_(file), position_(position), length_(length) {}

 private:
  Outcome run() noexcept override {
    // A blocking socket would hold a pool thread for as long as its peer likes.
    const int flags = fcntl(socket_, F_GETFL);
    if (flags < 0) return Outcome{0, errno, nullptr};
    if ((flags & O_NONBLOCK) == 0) return Outcome{0, EINVAL, nullptr};
    int64_t sent = 0;
    off_t at = position_;
    while (sent < length_) {
      const ssize_t count = sendfile(socket_, file_, &at, static_cast<size_t>(length_ - sent));
      if (count > 0) {
        sent += count;
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      if (sent > 0 || (count < 0 && errno == EAGAIN)) break;
      return count == 0 ? Outcome{0, 0, "EOF"} : Outcome{0, errno, nullptr};
    }
    return Outcome{sent, 0, nullptr};
  }
  const char* name() const noexcept override { return "sendfile"; }

  const int socket_;
  const int file_;
  const int64_t position_;
  const int64_t length_;
};

}  // namespace

Napi::Value send_file_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int socket = -1;
  int file = -1;
  int64_t position = 0;
  int64_t length = 0;
  if (!arguments.descriptor(0, "socketFd", &socket) || !arguments.descriptor(1, "fileFd", &file) ||
      !arguments.file_position(2, "position", &position) || !arguments.file_position(3, "length", &length)) {
    return Napi::Value();
  }
  if (!Environment::of(info.Env()).descriptors.owns(socket)) {
    Napi::RangeError::New(info.Env(), "socketFd is not a duplicate made by this environment")
        .ThrowAsJavaScriptException();
    return Napi::Value();
  }
  return PoolCall::start(info.Env(), std::make_unique<SendFileCall>(socket, file, position, length));
}

}  // namespace pagelog

#endif
