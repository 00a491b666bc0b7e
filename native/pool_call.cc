// Calls in the thread pool. Written on the C interface: at the exit of a worker's environment every call into the
// engine may fail, and here that must pass in silence rather than end the process.

#include "pool_call.h"

#include <cerrno>
#include <cstdio>

#include <uv.h>

namespace pagelog {

Napi::Value PoolCall::start(Napi::Env env, std::unique_ptr<PoolCall> call) {
  napi_value promise = nullptr;
  napi_value resource_name = nullptr;
  PoolCall* const raw = call.get();
  if (napi_create_promise(env, &raw->deferred_, &promise) != napi_ok ||
      napi_create_string_latin1(env, raw->name(), NAPI_AUTO_LENGTH, &resource_name) != napi_ok ||
      napi_create_async_work(env, nullptr, resource_name, execute, complete, raw, &raw->work_) != napi_ok) {
    throw_system_error(env, ENOMEM, raw->name());
    return Napi::Value();
  }
  if (napi_queue_async_work(env, raw->work_) != napi_ok) {
    napi_delete_async_work(env, raw->work_);
    throw_system_error(env, ENOMEM, raw->name());
    return Napi::Value();
  }
  call.release();  // `complete` takes it over
  return Napi::Value(env, promise);
}

void PoolCall::execute(napi_env, void* data) {
  PoolCall* const call = static_cast<PoolCall*>(data);
  call->outcome_ = call->run();
}

void PoolCall::complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<PoolCall> call(static_cast<PoolCall*>(data));
  napi_delete_async_work(env, call->work_);
  Outcome outcome = call->outcome_;
  if (status != napi_ok) outcome = Outcome{0, ECANCELED, nullptr};
  if (outcome.error == 0 && outcome.code == nullptr) {
    const napi_value value = call->make_value(env);
    if (value == nullptr) return;
    napi_resolve_deferred(env, call->deferred_, value);
    return;
  }
  const napi_value error = make_system_error(env, outcome.error, outcome.code, call->name());
  if (error != nullptr) napi_reject_deferred(env, call->deferred_, error);
}

napi_value PoolCall::make_value(napi_env env) {
  napi_value value = nullptr;
  return napi_create_int64(env, outcome_.value, &value) == napi_ok ? value : nullptr;
}

napi_value make_system_error(napi_env env, int error, const char* code, const char* syscall) {
  char error_code[32];
  char reason[128];
  if (code != nullptr) {
    snprintf(error_code, sizeof error_code, "%s", code);
    snprintf(reason, sizeof reason, "ended early");
  } else {
    uv_err_name_r(-error, error_code, sizeof error_code);
    uv_strerror_r(-error, reason, sizeof reason);
  }
  char message[256];
  snprintf(message, sizeof message, "%s: %s, %s", error_code, reason, syscall);
  napi_value code_value = nullptr;
  napi_value message_value = nullptr;
  napi_value syscall_value = nullptr;
  napi_value errno_value = nullptr;
  napi_value result = nullptr;
  if (napi_create_string_utf8(env, error_code, NAPI_AUTO_LENGTH, &code_value) != napi_ok ||
      napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &message_value) != napi_ok ||
      napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &syscall_value) != napi_ok ||
      napi_create_int32(env, -error, &errno_value) != napi_ok ||
      napi_create_error(env, code_value, message_value, &result) != napi_ok ||
      napi_set_named_property(env, result, "syscall", syscall_value) != napi_ok ||
      napi_set_named_property(env, result, "errno", errno_value) != napi_ok) {
    return nullptr;
  }
  return result;
}

void throw_system_error(napi_env env, int error, const char* syscall) {
  const napi_value value = make_system_error(env, error, nullptr, syscall);
  if (value != nullptr) napi_throw(env, value);
}

}  // namespace pagelog
