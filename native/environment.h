// What the addon keeps for one environment (the main thread or one worker). There is no other state.
#pragma once

#include <napi.h>

#include "descriptors.h"
#include "file_writes.h"

namespace pagelog {

struct Environment {
#if defined(__linux__)
  Descriptors descriptors;
  PendingWrites writes;
#endif

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
};

}  // namespace pagelog
