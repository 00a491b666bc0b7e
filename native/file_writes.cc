// Writes of a file, one after the other; see file_writes.h.

#include "file_writes.h"

#if defined(__linux__)

#include <algorithm>
#include <cerrno>
#include <climits>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include <sys/uio.h>
#include <unistd.h>

#include "arguments.h"
#include "environment.h"
#include "pool_call.h"

namespace pagelog {
namespace {

struct Write;

// The count of a write that was not tried, because one before it has failed.
constexpr int64_t kGivenBack = -1;

// What the event loop hears of a write.
struct Word {
  Write* write = nullptr;
  int error = 0;
  bool is_over = false;
  bool of_sync = false;
};

struct Write {
  FileWrites* file = nullptr;
  int64_t position = 0;
  bool wants_sync = false;
  // Of one that wants a sync, under the mutex of its file: the kernel has its bytes; it was told, or is to be at once.
  bool is_written = false;
  bool is_told = false;
  std::vector<iovec> parts;
  // Keeps what it needs of JavaScript, the parts among it.
  napi_ref done = nullptr;
  int64_t count = 0;
  Word written;
  Word synced;
};

}  // namespace

// Of one descriptor. At most one thread of the pool writes; it goes on while there is something queued.
class FileWrites {
 public:
  FileWrites(PendingWrites* owner, int fd) : owner_(owner), fd_(fd) {}

  // On the event loop.
  void push(napi_env env, std::unique_ptr<Write> write);
  void hurry();
  static void ring(napi_env env, napi_value, void*, void* data);

 private:
  // One stay in the pool.
  struct Stay {
    FileWrites* file;
    napi_async_work work;
  };

  void start(napi_env env);
  void hear(napi_env env, const Word& word);
  static void call_done(napi_env env, const Word& word);
  static void execute(napi_env, void* data) { static_cast<Stay*>(data)->file->run(); }
  static void complete(napi_env env, napi_status, void* data);

  // In the pool.
  void run() noexcept;
  int put(Write* write) noexcept;
  void leave(Write* write, int error) noexcept;
  void tell(Word* word) noexcept;

  PendingWrites* const owner_;
  const int fd_;
  // Of the event loop: queued, in the pool or not heard of yet.
  size_t on_their_way_ = 0;
  size_t stays_ = 0;

  std::mutex mutex_;
  // Under the mutex from here on.
  std::deque<Write*> queued_;
  bool is_writing_ = false;
  // Until the event loop has heard of a failure nothing more is written.
  bool has_failed_ = false;
  // Wants a sync, and the event loop does not yet know that it is written.
  Write* untold_ = nullptr;
};

void FileWrites::push(napi_env env, std::unique_ptr<Write> write) {
  Write* const raw = write.release();
  raw->file = this;
  on_their_way_++;
  if (owner_->on_their_way_++ == 0) napi_ref_threadsafe_function(env, owner_->bell_);
  hurry();  // what is written before it must be known before it
  bool is_idle;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (raw->wants_sync) untold_ = raw;
    queued_.push_back(raw);
    is_idle = !is_writing_ && !has_failed_;
    if (is_idle) is_writing_ = true;
  }
  if (is_idle) start(env);
}

void FileWrites::hurry() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (untold_ == nullptr) return;
  Write* const write = std::exchange(untold_, nullptr);
  write->is_told = true;
  if (write->is_written) tell(&write->written);
}

// Requires that `is_writing_` was set for it.
void FileWrites::start(napi_env env) {
  auto stay = std::make_unique<Stay>(Stay{this, nullptr});
  napi_value name = nullptr;
  const bool is_made = napi_create_string_latin1(env, "write", NAPI_AUTO_LENGTH, &name) == napi_ok &&
                       napi_create_async_work(env, nullptr, name, execute, complete, stay.get(), &stay->work) == napi_ok;
  if (!is_made || napi_queue_async_work(env, stay->work) != napi_ok) return;  // only while the environment goes down
  stays_++;
  stay.release();  // `complete` takes it over
}

void FileWrites::complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Stay> stay(static_cast<Stay*>(data));
  napi_delete_async_work(env, stay->work);
  FileWrites* const file = stay->file;
  file->stays_--;
  if (file->stays_ == 0 && file->on_their_way_ == 0) file->owner_->files_.erase(file->fd_);
}

void FileWrites::run() noexcept {
  for (;;) {
    Write* write;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (queued_.empty()) {
        is_writing_ = false;
        return;
      }
      write = queued_.front();
      queued_.pop_front();
    }
    const int error = put(write);
    const bool syncs = error == 0 && write->wants_sync;
    write->written = Word{write, error, !syncs, false};
    if (error == 0 && !syncs) {
      tell(&write->written);
      continue;
    }
    leave(write, error);
    if (!syncs) return;
    // Never repeated, whatever it answers.
    const int sync_error = fdatasync(fd_) == 0 ? 0 : errno;
    {
      // That it was written is told with the end of the sync, unless somebody wanted to know it before.
      const std::lock_guard<std::mutex> lock(mutex_);
      if (untold_ == write) {
        untold_ = nullptr;
        tell(&write->written);
      }
    }
    write->synced = Word{write, sync_error, true, true};
    tell(&write->synced);
    return;
  }
}

// The end of this stay's writing, after a failure or before a sync: what comes next need not wait for the device,
// another thread writes it. If the event loop has to hear of the write now it does so before that thread can begin: of the
// writes of a file it hears in their order.
void FileWrites::leave(Write* write, int error) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_writing_ = false;
  has_failed_ = error != 0;
  write->is_written = error == 0;
  const bool tells = error != 0 || write->is_told || !queued_.empty();
  if (tells && untold_ == write) untold_ = nullptr;
  if (tells) tell(&write->written);
}

int FileWrites::put(Write* write) noexcept {
  iovec* part = write->parts.data();
  size_t left = write->parts.size();
  while (left > 0) {
    const int64_t at = write->position + write->count;
    const ssize_t count = left == 1 ? pwrite(fd_, part->iov_base, part->iov_len, at)
                                    : pwritev(fd_, part, static_cast<int>(std::min<size_t>(left, IOV_MAX)), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    write->count += count;
    size_t taken = static_cast<size_t>(count);
    for (; left > 0 && taken >= part->iov_len; part++, left--) taken -= part->iov_len;
    if (left == 0) break;
    part->iov_base = static_cast<char*>(part->iov_base) + taken;
    part->iov_len -= taken;
    if (count == 0) return ENOSPC;
  }
  return 0;
}

// Once told, the write belongs to the event loop, and is gone when it was over.
void FileWrites::tell(Word* word) noexcept {
  napi_call_threadsafe_function(owner_->bell_, word, napi_tsfn_nonblocking);
}

void FileWrites::ring(napi_env env, napi_value, void*, void* data) {
  const Word word = *static_cast<Word*>(data);
  if (env != nullptr) word.write->file->hear(env, word);
}

void FileWrites::hear(napi_env env, const Word& word) {
  std::deque<Write*> void_ones;
  bool is_idle;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (word.error != 0 && !word.of_sync) {
      void_ones.swap(queued_);
      untold_ = nullptr;
      has_failed_ = false;
    }
    is_idle = !is_writing_ && !has_failed_ && !queued_.empty();
    if (is_idle) is_writing_ = true;
  }
  if (is_idle) start(env);
  size_t over = void_ones.size() + (word.is_over ? 1 : 0);
  on_their_way_ -= over;
  PendingWrites* const owner = owner_;
  owner->on_their_way_ -= over;
  if (owner->on_their_way_ == 0) napi_unref_threadsafe_function(env, owner->bell_);
  if (on_their_way_ == 0 && stays_ == 0) owner->files_.erase(fd_);
  call_done(env, word);
  for (Write* const one : void_ones) {
    one->count = kGivenBack;
    call_done(env, Word{one, ECANCELED, true, false});
  }
}

void FileWrites::call_done(napi_env env, const Word& word) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value done = nullptr;
  napi_value receiver = nullptr;
  napi_value arguments[2] = {};
  const bool is_ready = napi_get_reference_value(env, word.write->done, &done) == napi_ok &&
                        napi_get_undefined(env, &receiver) == napi_ok &&
                        napi_create_int64(env, word.write->count, &arguments[1]) == napi_ok;
  arguments[0] =
      word.error == 0 ? receiver : make_system_error(env, word.error, nullptr, word.of_sync ? "fdatasync" : "write");
  if (word.is_over) {
    napi_delete_reference(env, word.write->done);
    delete word.write;
  }
  if (is_ready && arguments[0] != nullptr && napi_call_function(env, receiver, done, 2, arguments, nullptr) != napi_ok) {
    // Thrown by what was called: as from any callback of the event loop, nobody is there to catch it.
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

PendingWrites::PendingWrites() = default;
PendingWrites::~PendingWrites() = default;

Napi::Value write_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  int fd = -1;
  auto write = std::make_unique<Write>();
  if (!arguments.descriptor(0, "fd", &fd) || !arguments.file_position(2, "position", &write->position)) {
    return Napi::Value();
  }
  uint32_t length = 0;
  if (info.Length() < 5 || napi_get_array_length(env, info[1], &length) != napi_ok || !info[3].IsBoolean() ||
      !info[4].IsFunction()) {
    Napi::TypeError::New(env, "write takes fd, parts, position, sync and done").ThrowAsJavaScriptException();
    return Napi::Value();
  }
  write->wants_sync = info[3].As<Napi::Boolean>().Value();
  write->parts.reserve(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value part = nullptr;
    napi_typedarray_type type = napi_int8_array;
    void* data = nullptr;
    size_t size = 0;
    if (napi_get_element(env, info[1], i, &part) != napi_ok ||
        napi_get_typedarray_info(env, part, &type, &size, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array) {
      Napi::TypeError::New(env, "a part must be a Uint8Array").ThrowAsJavaScriptException();
      return Napi::Value();
    }
    if (size > 0) write->parts.push_back(iovec{data, size});
  }
  PendingWrites& pending = Environment::of(env).writes;
  if (pending.bell_ == nullptr) {
    napi_value name = Napi::String::New(env, "write");
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, FileWrites::ring,
                                        &pending.bell_) != napi_ok) {
      throw_system_error(env, ENOMEM, "write");
      return Napi::Value();
    }
    napi_unref_threadsafe_function(env, pending.bell_);
  }
  if (napi_create_reference(env, info[4], 1, &write->done) != napi_ok) {
    throw_system_error(env, ENOMEM, "write");
    return Napi::Value();
  }
  std::unique_ptr<FileWrites>& file = pending.files_[fd];
  if (file == nullptr) file = std::make_unique<FileWrites>(&pending, fd);
  file->push(env, std::move(write));
  return env.Undefined();
}

Napi::Value hurry_call(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  int fd = -1;
  if (!arguments.descriptor(0, "fd", &fd)) return Napi::Value();
  const auto& files = Environment::of(info.Env()).writes.files_;
  const auto found = files.find(fd);
  if (found != files.end()) found->second->hurry();
  return info.Env().Undefined();
}

}  // namespace pagelog

#endif
