// Duplicates of descriptors, owned by one environment: what JavaScript has not closed is closed when the environment
// exits. Only a duplicate made here can be closed here, so that no mistake closes a number that meanwhile belongs to
// somebody else.
#pragma once

#include <unordered_set>

#include <napi.h>

namespace pagelog {

class Descriptors {
 public:
  Descriptors() = default;
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // The new descriptor, or a negative errno.
  int duplicate(int fd);
  // 0, or a negative errno; EBADF when it was not made here or is closed already.
  int close(int fd);
  bool owns(int fd) const { return owned_.count(fd) != 0; }

 private:
  std::unordered_set<int> owned_;
};

// duplicate(fd) -> a second descriptor of the same open file or socket, not inherited by child processes.
Napi::Value duplicate_call(const Napi::CallbackInfo& info);
// close(fd): of a duplicate, once no call on it is in flight.
Napi::Value close_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
