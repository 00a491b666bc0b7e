// CRC-32C. A CRC instruction has a latency of three cycles and a throughput of one, so a long run of bytes is cut into
// three lanes of equal length whose CRCs run interleaved and are then put together: the CRC of lane A, shifted over the
// n bytes that follow it, is A * x^(8n) modulo the polynomial. With reflected bits, as here, the highest bit of a word
// is x^0.

#include "crc32c.h"

#include <array>
#include <cstring>

#include "arguments.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define PAGELOG_CRC_X86 1
#include <nmmintrin.h>
#include <wmmintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PAGELOG_CRC_ARM 1
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace pagelog {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // 0x1edc6f41 reflected
constexpr uint32_t kOne = 0x80000000;         // x^0

using Table = std::array<std::array<uint32_t, 256>, 8>;

// kTable[k][b]: the CRC state after byte b and then k zero bytes.
constexpr Table make_table() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ ((state & 1) ? kPolynomial : 0);
    table[0][byte] = state;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t zeros = 1; zeros < 8; zeros++) {
      const uint32_t before = table[zeros - 1][byte];
      table[zeros][byte] = (before >> 8) ^ table[0][before & 0xff];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

inline uint64_t load64(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline uint64_t load64_little(const uint8_t* bytes) {
  uint64_t word = 0;
  for (int i = 7; i >= 0; i--) word = (word << 8) | bytes[i];  // one load where the machine is little-endian
  return word;
}

uint32_t table_way(uint32_t state, const uint8_t* bytes, size_t length) {
  for (; length >= 8; bytes += 8, length -= 8) {
    const uint64_t word = load64_little(bytes) ^ state;
    state = kTable[7][word & 0xff] ^ kTable[6][(word >> 8) & 0xff] ^ kTable[5][(word >> 16) & 0xff] ^
            kTable[4][(word >> 24) & 0xff] ^ kTable[3][(word >> 32) & 0xff] ^ kTable[2][(word >> 40) & 0xff] ^
            kTable[1][(word >> 48) & 0xff] ^ kTable[0][word >> 56];
  }
  for (; length > 0; bytes++, length--) state = (state >> 8) ^ kTable[0][(state ^ *bytes) & 0xff];
  return state;
}

#if defined(PAGELOG_CRC_X86) || defined(PAGELOG_CRC_ARM)

// a * b modulo the polynomial.
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ ((b & 1) ? kPolynomial : 0);
  }
  return product;
}

// x^exponent modulo the polynomial.
constexpr uint32_t power_of_x(uint64_t exponent) {
  uint32_t result = kOne;
  uint32_t square = kOne >> 1;  // x^1
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

#endif

#if defined(PAGELOG_CRC_X86)

bool cpu_has_crc() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"); }

// The carry-less product of two reflected 32-bit words comes out one bit low in 64, and taking a 64-bit word into an
// empty CRC multiplies by x^32 more: hence the 33.
template <size_t kBytes>
__attribute__((target("sse4.2,pclmul"))) inline uint64_t shifted(uint32_t state) {
  constexpr uint32_t kFactor = power_of_x(8 * kBytes - 33);
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(state)), _mm_cvtsi32_si128(static_cast<int>(kFactor)), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

template <size_t kLane>
__attribute__((target("sse4.2,pclmul"))) inline uint64_t three_lanes(uint64_t a, const uint8_t* bytes) {
  uint64_t b = 0;
  uint64_t c = 0;
  for (size_t i = 0; i < kLane; i += 8) {
    a = _mm_crc32_u64(a, load64(bytes + i));
    b = _mm_crc32_u64(b, load64(bytes + kLane + i));
    c = _mm_crc32_u64(c, load64(bytes + 2 * kLane + i));
  }
  const uint64_t over = shifted<2 * kLane>(static_cast<uint32_t>(a)) ^ shifted<kLane>(static_cast<uint32_t>(b));
  return _mm_crc32_u64(0, over) ^ c;
}

__attribute__((target("sse4.2,pclmul"))) uint32_t cpu_way(uint32_t seed, const uint8_t* bytes, size_t length) {
  // All three lanes in one page or two, so that the hardware's prefetching keeps up: of 64 KiB that no cache holds the
  // CRC takes half the time that it takes with lanes of 1,024 bytes; of cached bytes the same.
  constexpr size_t kLong = 256;
  constexpr size_t kShort = 128;
  uint64_t state = seed;
  for (; length >= 3 * kLong; bytes += 3 * kLong, length -= 3 * kLong) state = three_lanes<kLong>(state, bytes);
  for (; length >= 3 * kShort; bytes += 3 * kShort, length -= 3 * kShort) state = three_lanes<kShort>(state, bytes);
  for (; length >= 8; bytes += 8, length -= 8) state = _mm_crc32_u64(state, load64(bytes));
  uint32_t rest = static_cast<uint32_t>(state);
  for (; length > 0; bytes++, length--) rest = _mm_crc32_u8(rest, *bytes);
  return rest;
}

#elif defined(PAGELOG_CRC_ARM)

bool cpu_has_crc() {
#if defined(__linux__)
  constexpr unsigned long kHwcapCrc32 = 1ul << 7;  // HWCAP_CRC32 of asm/hwcap.h
  return (getauxval(AT_HWCAP) & kHwcapCrc32) != 0;
#else
  return true;  // every 64-bit Apple CPU
#endif
}

// Written out, since the intrinsics exist only when the whole file is compiled for such a CPU.
inline uint32_t take64(uint32_t state, uint64_t word) {
  __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(state) : "r"(word));
  return state;
}

inline uint32_t take8(uint32_t state, uint32_t byte) {
  __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(state) : "r"(byte));
  return state;
}

uint32_t cpu_way(uint32_t state, const uint8_t* bytes, size_t length) {
  constexpr size_t kLane = 4096;  // long, since lanes are put together by a loop over bits
  for (; length >= 3 * kLane; bytes += 3 * kLane, length -= 3 * kLane) {
    uint32_t b = 0;
    uint32_t c = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      state = take64(state, load64(bytes + i));
      b = take64(b, load64(bytes + kLane + i));
      c = take64(c, load64(bytes + 2 * kLane + i));
    }
    constexpr uint32_t kOverTwo = power_of_x(16 * kLane);
    constexpr uint32_t kOverOne = power_of_x(8 * kLane);
    state = multiply(kOverTwo, state) ^ multiply(kOverOne, b) ^ c;
  }
  for (; length >= 8; bytes += 8, length -= 8) state = take64(state, load64(bytes));
  for (; length > 0; bytes++, length--) state = take8(state, *bytes);
  return state;
}

#else

bool cpu_has_crc() { return false; }
uint32_t cpu_way(uint32_t state, const uint8_t* bytes, size_t length) { return table_way(state, bytes, length); }

#endif

using Way = uint32_t (*)(uint32_t, const uint8_t*, size_t);

Napi::Value call(const Napi::CallbackInfo& info, Way way) {
  Arguments arguments(info);
  Bytes bytes;
  size_t start = 0;
  size_t end = 0;
  uint32_t seed = 0;
  if (!arguments.bytes(0, "bytes", &bytes) || !arguments.position(2, "end", 0, bytes.length, bytes.length, &end) ||
      !arguments.position(1, "start", 0, end, 0, &start) || !arguments.uint32(3, "seed", 0, &seed)) {
    return Napi::Value();
  }
  return Napi::Number::New(info.Env(), way(seed, bytes.data + start, end - start));
}

}  // namespace

uint32_t crc32c(uint32_t seed, const uint8_t* bytes, size_t length) {
  static const Way way = cpu_has_crc() ? cpu_way : table_way;
  return ~way(~seed, bytes, length);
}

uint32_t crc32c_by_table(uint32_t seed, const uint8_t* bytes, size_t length) {
  return ~table_way(~seed, bytes, length);
}

Napi::Value crc32c_call(const Napi::CallbackInfo& info) { return call(info, crc32c); }
Napi::Value crc32c_by_table_call(const Napi::CallbackInfo& info) { return call(info, crc32c_by_table); }

}  // namespace pagelog
