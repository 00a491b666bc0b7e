// Batch check. The layout (big endian; position in the batch, bytes):
//
//    0  8 base offset            21  2 attributes: 0-2 compression, 5 control     43  8 producer id
//    8  4 length after this      23  4 last offset delta                          51  2 producer epoch
//   12  4 leader epoch           27  8 base timestamp                             53  4 base sequence
//   16  1 magic = 2              35  8 max timestamp                              57  4 record count
//   17  4 CRC of 21...end                                                         61    records
//
// A record: length, attributes (1 byte), timestamp delta, offset delta, key length (-1: none), key, value length (-1:
// none), value, header count, then for each header key length, key, value length (-1: none), value. Numbers are zig-zag
// varints of at most 5 bytes, the timestamp delta of at most 10; bits beyond 32 are dropped, as Kafka does.

#include "batch_check.h"

#include "arguments.h"
#include "crc32c.h"

namespace pagelog {
namespace {

constexpr size_t kLogOverhead = 12;
constexpr size_t kMagicEnd = 17;
constexpr size_t kHeader = 61;
constexpr size_t kCrcFrom = 21;
constexpr int32_t kOldestMessageMin = 14;  // the shortest entry of any format: nothing below is a length at all

inline int32_t int32_at(const uint8_t* bytes) {
  return static_cast<int32_t>(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3]);
}

// Reads within [at, end); after a failure `at` is null and stays so.
struct Reader {
  const uint8_t* at;
  const uint8_t* end;

  bool failed() const { return at == nullptr; }

  // The raw varint, before zig-zag.
  inline uint32_t varint() {
    if (__builtin_expect(end - at >= 2, 1)) {
      const uint32_t first = at[0];
      if (first < 0x80) {
        at += 1;
        return first;
      }
      const uint32_t second = at[1];
      if (second < 0x80) {
        at += 2;
        return (first & 0x7f) | second << 7;
      }
    }
    return long_varint();
  }

  uint32_t long_varint() {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35 && at < end; shift += 7) {
      const uint32_t byte = *at++;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }

  inline void skip_varlong() {
    for (int i = 0; i < 10 && at < end; i++) {
      if (*at++ < 0x80) return;
    }
    fail();
  }

  // Skips a length-prefixed field; `none_allowed`: whether -1 may stand for none.
  inline void skip_field(bool none_allowed) {
    const uint32_t raw = varint();
    if (failed()) return;
    if (raw & 1) {
      if (raw != 1 || !none_allowed) fail();
      return;
    }
    const uint32_t length = raw >> 1;
    if (length > static_cast<size_t>(end - at)) {
      fail();
      return;
    }
    at += length;
  }

  uint32_t fail() {
    at = nullptr;
    end = nullptr;
    return 0;
  }
};

// Whether the bytes of one record are exactly a record with this offset delta.
inline bool record_is_whole(Reader record, uint32_t offset_delta) {
  if (record.at == record.end) return false;
  record.at += 1;  // attributes
  record.skip_varlong();
  if (record.failed()) return false;
  const uint32_t delta = record.varint();
  if (record.failed() || delta != offset_delta << 1) return false;
  record.skip_field(true);
  if (record.failed()) return false;
  record.skip_field(true);
  if (record.failed()) return false;
  const uint32_t headers = record.varint();
  if (record.failed() || (headers & 1)) return false;
  for (uint32_t left = headers >> 1; left > 0; left--) {
    record.skip_field(false);
    if (record.failed()) return false;
    record.skip_field(true);
    if (record.failed()) return false;
  }
  return record.at == record.end;
}

bool records_fill(const uint8_t* records, const uint8_t* end, uint32_t count) {
  Reader reader{records, end};
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t raw = reader.varint();
    if (reader.failed() || (raw & 1)) return false;
    const uint32_t length = raw >> 1;
    if (length > static_cast<size_t>(end - reader.at)) return false;
    const uint8_t* const next = reader.at + length;
    if (!record_is_whole(Reader{reader.at, next}, i)) return false;
    reader.at = next;
  }
  return reader.at == end;
}

Napi::Value call(const Napi::CallbackInfo& info, BatchRules rules) {
  Arguments arguments(info);
  Bytes bytes;
  size_t position = 0;
  size_t end = 0;
  if (!arguments.bytes(0, "bytes", &bytes) || !arguments.position(2, "end", 0, bytes.length, &end) ||
      !arguments.position(1, "position", 0, end, &position)) {
    return Napi::Value();
  }
  return Napi::Number::New(info.Env(), check_batch(bytes.data + position, end - position, rules));
}

}  // namespace

int32_t check_batch(const uint8_t* bytes, size_t available, BatchRules rules) {
  if (available < kLogOverhead) return kIncomplete;
  const int32_t length = int32_at(bytes + 8);
  if (length < kOldestMessageMin || length > INT32_MAX - static_cast<int32_t>(kLogOverhead)) return kSize;
  if (available < kMagicEnd) return kIncomplete;
  if (bytes[16] != 2) return kMagic;
  const size_t size = kLogOverhead + static_cast<size_t>(length);
  if (size < kHeader) return kSize;
  if (size > available) return kIncomplete;
  if (crc32c(0, bytes + kCrcFrom, size - kCrcFrom) != static_cast<uint32_t>(int32_at(bytes + 17))) return kCrc;

  const int32_t last_offset_delta = int32_at(bytes + 23);
  const int32_t count = int32_at(bytes + 57);
  if (rules == BatchRules::kStored) {
    return count < 0 || last_offset_delta < 0 ? static_cast<int32_t>(kCount) : static_cast<int32_t>(size);
  }
  if (count < 1 || last_offset_delta != count - 1) return kCount;
  const bool compressed = (bytes[22] & 0x07) != 0;
  const bool control = (bytes[22] & 0x20) != 0;
  if (!compressed && !control && !records_fill(bytes + kHeader, bytes + size, static_cast<uint32_t>(count))) {
    return kRecords;
  }
  return static_cast<int32_t>(size);
}

Napi::Value check_batch_call(const Napi::CallbackInfo& info) { return call(info, BatchRules::kAppended); }
Napi::Value check_batch_stored_call(const Napi::CallbackInfo& info) { return call(info, BatchRules::kStored); }

}  // namespace pagelog
