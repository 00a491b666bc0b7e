// The files of a directory with their sizes and the ends of some of them, in one call of the pool. Linux only.
#pragma once

#include <napi.h>

namespace pagelog {

// scan(path, rules) -> Promise<ArrayBuffer>. `rules` is a text, a line a rule: `all` or `last`, a number of bytes, a suffix,
// with blanks between. A rule names the files that end with its suffix, or of them only the last by name; of those the last
// bytes are read, so many as it says. The result, numbers in the byte order of the machine, is one entry after the other:
//
//   uint32 length of the name | uint32 bytes of the tail that follow, 0xffffffff where no rule names the file |
//   float64 size | name | tail
//
// Only regular files are listed; one that goes while it is looked at is left out.
Napi::Value scan_call(const Napi::CallbackInfo& info);

}  // namespace pagelog
