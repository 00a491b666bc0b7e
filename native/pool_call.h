// One blocking call on the way through libuv's thread pool, answered by a promise.
//
// A call holds values of its own (descriptors, positions, paths), nothing of JavaScript, so nothing has to be kept alive for it. At
// the exit of an environment Node waits for calls in flight; their promises then simply stay open.
#pragma once

#include <cstdint>
#include <memory>

#include <napi.h>

namespace pagelog {

// How a call ended: a value, or an error.
struct Outcome {
  int64_t value = 0;
  int error = 0;               // an errno; 0: ended well
  const char* code = nullptr;  // instead of an errno: a code of our own, a constant text
};

class PoolCall {
 public:
  virtual ~PoolCall() = default;
  PoolCall() = default;
  PoolCall(const PoolCall&) = delete;
  PoolCall& operator=(const PoolCall&) = delete;

  // Queues the call and returns its promise: resolved with the call's value, or rejected with an Error that has
  // `code`, `errno` and `syscall`.
  static Napi::Value start(Napi::Env env, std::unique_ptr<PoolCall> call);

 protected:
  // Runs in the pool.
  virtual Outcome run() noexcept = 0;
  // On the event loop, after a run that ended well: what the promise is resolved with; null when the environment is
  // going down.
  virtual napi_value make_value(napi_env env);
  // The system call's name, a constant.
  virtual const char* name() const noexcept = 0;

 private:
  static void execute(napi_env env, void* data);
  static void complete(napi_env env, napi_status status, void* data);

  napi_async_work work_ = nullptr;
  napi_deferred deferred_ = nullptr;
  Outcome outcome_;
};

// An Error with `code`, `errno` and `syscall` as Node's own have them; null when the environment is going down.
napi_value make_system_error(napi_env env, int error, const char* code, const char* syscall);
void throw_system_error(napi_env env, int error, const char* syscall);

}  // namespace pagelog
