// The addon: exports only. Each noun lives in a file pair of its own.

#include <napi.h>

#include "batch_check.h"
#include "crc32c.h"
#include "descriptors.h"
#include "directory_scan.h"
#include "environment.h"
#include "file_calls.h"
#include "file_writes.h"
#include "send_run.h"
#include "socket_options.h"

namespace {

// Raised with every change of a function's arguments or results; src/native/addon.ts refuses any other.
constexpr int kInterfaceVersion = 4;

template <Napi::Value (*kCallback)(const Napi::CallbackInfo&)>
void add(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<kCallback>(exports.Env(), name));
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new pagelog::Environment());
  exports.Set("interfaceVersion", kInterfaceVersion);
  add<pagelog::crc32c_call>(exports, "crc32c");
  add<pagelog::crc32c_by_table_call>(exports, "crc32cByTable");
  add<pagelog::check_batch_call>(exports, "checkBatch");
  add<pagelog::check_batch_stored_call>(exports, "checkBatchStored");
#if defined(__linux__)
  Napi::Object file_calls = Napi::Object::New(env);
  add<pagelog::try_read_call>(file_calls, "tryRead");
  add<pagelog::allocate_call>(file_calls, "allocate");
  add<pagelog::drop_cache_call>(file_calls, "dropCache");
  add<pagelog::lock_call>(file_calls, "lock");
  add<pagelog::duplicate_call>(file_calls, "duplicate");
  add<pagelog::close_call>(file_calls, "close");
  add<pagelog::limit_send_buffer_call>(file_calls, "limitSendBuffer");
  add<pagelog::accept_unpaced_call>(file_calls, "acceptUnpaced");
  add<pagelog::send_run_call>(file_calls, "sendRun");
  add<pagelog::scan_call>(file_calls, "scan");
  add<pagelog::write_call>(file_calls, "write");
  add<pagelog::hurry_call>(file_calls, "hurry");
  exports.Set("fileCalls", file_calls);
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(pagelog, start)
