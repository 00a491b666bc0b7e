// What the addon keeps for one environment (the main thread or one worker). There is no other state.
#pragma once

#include <napi.h>

#include "descriptors.h"

namespace pagelog {

struct Environment {
#if defined(__linux__)
  Descriptors descriptors;
#endif

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
};

}  // namespace pagelog
