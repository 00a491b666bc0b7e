// Runs of sends in the thread pool; see send_run.h.

#include "send_run.h"

#if defined(__linux__)

#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "arguments.h"
#include "environment.h"
#include "pool_call.h"

namespace pagelog {
namespace {

constexpr int kOfBytes = -1;
constexpr size_t kNumbersAPiece = 3;
// Longer would hold a thread that others need.
constexpr size_t kPatienceMsMax = 100;

struct Piece {
  int file;
  int64_t position;
  int64_t length;
};

class SendRunCall final : public PoolCall {
 public:
  SendRunCall(int socket, std::vector<uint8_t> bytes, std::vector<Piece> pieces, size_t patience_ms)
      : socket_(socket), bytes_(std::move(bytes)), pieces_(std::move(pieces)), patience_(patience_ms) {}

 private:
  using Clock = std::chrono::steady_clock;

  Outcome run() noexcept override {
    // A blocking socket would hold a pool thread for as long as its peer likes.
    const int flags = fcntl(socket_, F_GETFL);
    if (flags < 0) return Outcome{0, errno, nullptr};
    if ((flags & O_NONBLOCK) == 0) return Outcome{0, EINVAL, nullptr};
    const Clock::time_point deadline = Clock::now() + patience_;
    int64_t sent = 0;
    for (const Piece& piece : pieces_) {
      for (int64_t done = 0; done < piece.length;) {
        const ssize_t count = put(piece, done);
        if (count > 0) {
          done += count;
          sent += count;
          continue;
        }
        if (count < 0 && (errno == EINTR || (errno == EAGAIN && has_room_before(deadline)))) continue;
        if (sent > 0 || (count < 0 && errno == EAGAIN)) return Outcome{sent, 0, nullptr};
        return count == 0 ? Outcome{0, 0, "EOF"} : Outcome{0, errno, nullptr};
      }
    }
    return Outcome{sent, 0, nullptr};
  }

  ssize_t put(const Piece& piece, int64_t done) const noexcept {
    const size_t left = static_cast<size_t>(piece.length - done);
    if (piece.file == kOfBytes) {
      // What follows leaves in the same segment.
      const int more = &piece == &pieces_.back() ? 0 : MSG_MORE;
      return send(socket_, bytes_.data() + piece.position + done, left, MSG_NOSIGNAL | more);
    }
    off_t at = piece.position + done;
    return sendfile(socket_, piece.file, &at, left);
  }

  // Waits for it. A socket that failed has room, too: the next send says what is wrong with it.
  bool has_room_before(Clock::time_point deadline) const noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd socket{socket_, POLLOUT, 0};
    const bool has_room = left > 0 && poll(&socket, 1, static_cast<int>(left)) != 0;
    if (!has_room) errno = EAGAIN;
    return has_room;
  }

  const char* name() const noexcept override { return "sendfile"; }

  const int socket_;
  const std::vector<uint8_t> bytes_;
  const std::vector<Piece> pieces_;
  const std::chrono::milliseconds patience_;
};

}  // namespace

Napi::Value send_run_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int socket = -1;
  Bytes bytes;
  Numbers numbers;
  size_t patience_ms = 0;
  if (!arguments.descriptor(0, "socketFd", &socket) || !arguments.bytes(1, "bytes", &bytes) ||
      !arguments.numbers(2, "pieces", &numbers) ||
      !arguments.position(3, "patienceMs", 0, kPatienceMsMax, &patience_ms)) {
    return Napi::Value();
  }
  if (numbers.length % kNumbersAPiece != 0) {
    Napi::RangeError::New(info.Env(), "pieces must be three numbers each").ThrowAsJavaScriptException();
    return Napi::Value();
  }
  std::vector<Piece> pieces;
  pieces.reserve(numbers.length / kNumbersAPiece);
  for (const double* at = numbers.data; at < numbers.data + numbers.length; at += kNumbersAPiece) {
    if (!arguments.check_whole("a descriptor", at[0], kOfBytes, INT32_MAX) ||
        !arguments.check_whole("a position", at[1], 0, kFilePositionMax) ||
        !arguments.check_whole("a length", at[2], 0, kFilePositionMax)) {
      return Napi::Value();
    }
    const Piece piece{static_cast<int>(at[0]), static_cast<int64_t>(at[1]), static_cast<int64_t>(at[2])};
    const int64_t end = piece.position + piece.length;
    if (piece.file == kOfBytes && end > static_cast<int64_t>(bytes.length)) {
      Napi::RangeError::New(info.Env(), "a piece ends beyond bytes").ThrowAsJavaScriptException();
      return Napi::Value();
    }
    pieces.push_back(piece);
  }
  if (!Environment::of(info.Env()).descriptors.owns(socket)) {
    Napi::RangeError::New(info.Env(), "socketFd is not a duplicate made by this environment")
        .ThrowAsJavaScriptException();
    return Napi::Value();
  }
  std::vector<uint8_t> copy(bytes.data, bytes.data + bytes.length);
  return PoolCall::start(
      info.Env(), std::make_unique<SendRunCall>(socket, std::move(copy), std::move(pieces), patience_ms));
}

}  // namespace pagelog

#endif
