// Argument checks; see arguments.h.

#include "arguments.h"

#include <cmath>
#include <string>

namespace pagelog {
bool Arguments::bytes(size_t index, const char* name, Bytes* out) {
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;
  if (index >= info_.Length() || napi_get_typedarray_info(info_.Env(), info_[index], &type, &length, &data, nullptr,
                                                          nullptr) != napi_ok ||
      type != napi_uint8_array) {
    Napi::TypeError::New(info_.Env(), std::string(name) + " must be a Uint8Array").ThrowAsJavaScriptException();
    return false;
  }
  out->data = static_cast<uint8_t*>(data);
  out->length = data == nullptr ? 0 : length;
  return true;
}

bool Arguments::numbers(size_t index, const char* name, Numbers* out) {
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  if (index >= info_.Length() || napi_get_typedarray_info(info_.Env(), info_[index], &type, &out->length, &data, nullptr,
                                                          nullptr) != napi_ok ||
      type != napi_float64_array) {
    Napi::TypeError::New(info_.Env(), std::string(name) + " must be a Float64Array").ThrowAsJavaScriptException();
    return false;
  }
  out->data = static_cast<const double*>(data);
  return true;
}

bool Arguments::position(size_t index, const char* name, size_t low, size_t high, size_t* out) {
  double value = 0;
  if (!whole(index, name, static_cast<double>(low), static_cast<double>(high), &value)) return false;
  *out = static_cast<size_t>(value);
  return true;
}

bool Arguments::position(size_t index, const char* name, size_t low, size_t high, size_t fallback, size_t* out) {
  if (missing(index)) {
    if (fallback >= low && fallback <= high) {
      *out = fallback;
      return true;
    }
  }
  return position(index, name, low, high, out);
}

bool Arguments::uint32(size_t index, const char* name, uint32_t fallback, uint32_t* out) {
  if (missing(index)) {
    *out = fallback;
    return true;
  }
  double value = 0;
  if (!whole(index, name, 0, 4294967295.0, &value)) return false;
  *out = static_cast<uint32_t>(value);
  return true;
}

bool Arguments::file_position(size_t index, const char* name, int64_t* out) {
  double value = 0;
  if (!whole(index, name, 0, kFilePositionMax, &value)) return false;
  *out = static_cast<int64_t>(value);
  return true;
}

bool Arguments::descriptor(size_t index, const char* name, int* out) {
  double value = 0;
  if (!whole(index, name, 0, 2147483647.0, &value)) return false;
  *out = static_cast<int>(value);
  return true;
}

bool Arguments::whole(size_t index, const char* name, double low, double high, double* out) {
  if (index >= info_.Length() || napi_get_value_double(info_.Env(), info_[index], out) != napi_ok) {
    Napi::TypeError::New(info_.Env(), std::string(name) + " must be a number").ThrowAsJavaScriptException();
    return false;
  }
  return check_whole(name, *out, low, high);
}

bool Arguments::check_whole(const char* name, double value, double low, double high) {
  // NaN fails the first comparison.
  if (!(value >= low && value <= high) || std::floor(value) != value) {
    Napi::RangeError::New(info_.Env(), std::string(name) + " is out of range").ThrowAsJavaScriptException();
    return false;
  }
  return true;
}

bool Arguments::missing(size_t index) const { return index >= info_.Length() || info_[index].IsUndefined(); }

}  // namespace pagelog
