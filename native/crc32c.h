// CRC-32C (Castagnoli): the checksum of record batches.
//
// One entry, three ways behind it, chosen once per process by what the CPU has: SSE4.2 with PCLMULQDQ, ARMv8 CRC, or
// tables. All give the same result; a CRC is continued by giving the previous result as `seed` (0 to begin).
#pragma once

#include <cstddef>
#include <cstdint>

#include <napi.h>

namespace pagelog {

uint32_t crc32c(uint32_t seed, const uint8_t* bytes, size_t length);

// The table way whatever the CPU has: only for tests that compare the ways.
uint32_t crc32c_by_table(uint32_t seed, const uint8_t* bytes, size_t length);

// JavaScript: crc32c(bytes, start = 0, end = bytes.length, seed = 0) -> number, unsigned.
Napi::Value crc32c_call(const Napi::CallbackInfo& info);
Napi::Value crc32c_by_table_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
