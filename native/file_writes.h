// Writes of a file in the thread pool, one after the other, without a turn of the event loop between two of them; a
// write may bring its fdatasync along.
#pragma once

#include <memory>
#include <unordered_map>

#include <napi.h>

namespace pagelog {

// write(fd, parts, position, sync, done): all bytes of `parts` (Uint8Arrays that must not change until then), one after
// the other. `done(error, count)` is called when the kernel has all bytes and, with `sync`, again after the fdatasync. The
// first of the two waits for the second, which spares the event loop a wake-up, unless there is another write of the
// file or `hurry` is called. `count`: bytes that the kernel has taken.
//
// A failed write takes along those that follow it until its `done` is called: they leave no byte and are answered with
// ECANCELED and a count of -1. Whoever is told cuts the file back before writing again.
Napi::Value write_call(const Napi::CallbackInfo& info);

// hurry(fd): the `done` of what is written, or is being written, need not wait for a sync.
Napi::Value hurry_call(const Napi::CallbackInfo& info);

class FileWrites;

// The files of one environment that have writes on their way.
class PendingWrites {
 public:
  PendingWrites();
  ~PendingWrites();

 private:
  friend class FileWrites;
  friend Napi::Value write_call(const Napi::CallbackInfo& info);
  friend Napi::Value hurry_call(const Napi::CallbackInfo& info);

  // Brings word of what happened in the pool to the event loop; keeps that alive while writes are on their way.
  napi_threadsafe_function bell_ = nullptr;
  size_t on_their_way_ = 0;
  std::unordered_map<int, std::unique_ptr<FileWrites>> files_;
};

}  // namespace pagelog
