// Structural check of one record batch (format v2), CRC included, in one call while the bytes are in cache.
#pragma once

#include <cstddef>
#include <cstdint>

#include <napi.h>

namespace pagelog {

// What is wrong with a batch; the numbers are those of BatchFault in src/native/batch-fault.ts.
enum BatchFault : int32_t {
  kIncomplete = -1,  // runs past the end of what is there
  kSize = -2,        // its length is less than a header's
  kMagic = -3,       // not format v2
  kCrc = -4,
  kCount = -5,    // record count and last offset delta cannot be
  kRecords = -6,  // the records do not fill the batch exactly, or their offset deltas are not 0, 1, 2 ...
};

enum class BatchRules {
  kAppended,  // as a client may append it
  kStored,    // as it may lie in a log: compaction leaves gaps and even empty batches, so records are not walked
};

// The size of the batch at `bytes`, of which `available` bytes may be read, or a BatchFault.
int32_t check_batch(const uint8_t* bytes, size_t available, BatchRules rules);

// JavaScript: checkBatch(bytes, position, end) -> size or fault; checkBatchStored the same.
Napi::Value check_batch_call(const Napi::CallbackInfo& info);
Napi::Value check_batch_stored_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
