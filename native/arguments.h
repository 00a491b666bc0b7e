// Checks of what JavaScript hands in. Every native method reads its arguments through this, first thing: a wrong type
// throws TypeError, a wrong range RangeError, and the method returns at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include <napi.h>

namespace pagelog {

// The bytes of a Uint8Array; valid only during the call (never kept, never handed to another thread).
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

// The numbers of a Float64Array; valid only during the call.
struct Numbers {
  const double* data = nullptr;
  size_t length = 0;
};

// What a position or length in a file can be at most: 2^53 - 1.
constexpr double kFilePositionMax = 9007199254740991.0;

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  // Each returns false after throwing.
  bool bytes(size_t index, const char* name, Bytes* out);
  bool numbers(size_t index, const char* name, Numbers* out);
  // Whether `value` is a whole number in low..high.
  bool check_whole(const char* name, double value, double low, double high);
  // A whole number in low..high.
  bool position(size_t index, const char* name, size_t low, size_t high, size_t* out);
  // The same, `fallback` where undefined or missing.
  bool position(size_t index, const char* name, size_t low, size_t high, size_t fallback, size_t* out);
  bool uint32(size_t index, const char* name, uint32_t fallback, uint32_t* out);
  // A position or length in a file: 0 to 2^53 - 1.
  bool file_position(size_t index, const char* name, int64_t* out);
  // An open descriptor's number: 0 to 2^31 - 1.
  bool descriptor(size_t index, const char* name, int* out);

 private:
  bool whole(size_t index, const char* name, double low, double high, double* out);
  bool missing(size_t index) const;

  const Napi::CallbackInfo& info_;
};

}  // namespace pagelog
