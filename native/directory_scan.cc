// The scan of a directory; see directory_scan.h.

#include "directory_scan.h"

#if defined(__linux__)

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool_call.h"

namespace pagelog {
namespace {

constexpr uint32_t kNoTail = 0xffffffff;
constexpr size_t kRulesMax = 64;
constexpr unsigned long kTailMax = 1 << 20;

struct Rule {
  std::string suffix;
  size_t bytes = 0;
  bool last_only = false;
};

struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  const int fd;
};

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

class ScanCall final : public PoolCall {
 public:
  ScanCall(std::string path, std::vector<Rule> rules) : path_(std::move(path)), rules_(std::move(rules)) {}

 private:
  Outcome run() noexcept override {
    DIR* const directory = opendir(path_.c_str());
    if (directory == nullptr) return Outcome{0, errno, nullptr};
    int error = 0;
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* const entry = readdir(directory);
      if (entry == nullptr) {
        error = errno;
        break;
      }
      if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) names.emplace_back(entry->d_name);
    }
    if (error == 0) {
      std::sort(names.begin(), names.end());
      for (size_t i = 0; i < names.size() && error == 0; i++) error = add(dirfd(directory), names, i);
    }
    closedir(directory);
    return Outcome{0, error, nullptr};
  }

  const char* name() const noexcept override { return "scandir"; }

  napi_value make_value(napi_env env) override {
    void* data = nullptr;
    napi_value buffer = nullptr;
    if (napi_create_arraybuffer(env, bytes_.size(), &data, &buffer) != napi_ok) return nullptr;
    if (!bytes_.empty()) memcpy(data, bytes_.data(), bytes_.size());
    return buffer;
  }

  // Adds the entry of names[index]; an errno.
  int add(int directory, const std::vector<std::string>& names, size_t index) {
    const std::string& file = names[index];
    const Rule* const rule = rule_of(names, index);
    if (rule == nullptr) {
      struct stat status;
      if (fstatat(directory, file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
      if (S_ISREG(status.st_mode)) begin(file, kNoTail, status.st_size);
      return 0;
    }
    const Descriptor opened(openat(directory, file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (opened.fd < 0) return errno == ENOENT || errno == ELOOP ? 0 : errno;
    struct stat status;
    if (fstat(opened.fd, &status) != 0) return errno;
    if (!S_ISREG(status.st_mode)) return 0;
    const size_t tail = std::min(rule->bytes, static_cast<size_t>(status.st_size));
    begin(file, static_cast<uint32_t>(tail), status.st_size);
    const size_t at = bytes_.size();
    bytes_.resize(at + tail);
    for (size_t done = 0; done < tail;) {
      const ssize_t count = pread(opened.fd, bytes_.data() + at + done, tail - done,
                                  static_cast<off_t>(status.st_size - tail + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno;
      if (count == 0) return EIO;  // it was cut meanwhile: nobody else may write here
      done += static_cast<size_t>(count);
    }
    return 0;
  }

  void begin(const std::string& file, uint32_t tail, off_t size) {
    const uint32_t lengths[2] = {static_cast<uint32_t>(file.size()), tail};
    const double size_value = static_cast<double>(size);
    append(lengths, sizeof lengths);
    append(&size_value, sizeof size_value);
    append(file.data(), file.size());
  }

  void append(const void* data, size_t length) {
    const uint8_t* const from = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + length);
  }

  const Rule* rule_of(const std::vector<std::string>& names, size_t index) const {
    for (const Rule& rule : rules_) {
      if (ends_with(names[index], rule.suffix) && (!rule.last_only || is_last(names, index, rule.suffix))) return &rule;
    }
    return nullptr;
  }

  static bool is_last(const std::vector<std::string>& names, size_t index, const std::string& suffix) {
    for (size_t later = index + 1; later < names.size(); later++) {
      if (ends_with(names[later], suffix)) return false;
    }
    return true;
  }

  const std::string path_;
  const std::vector<Rule> rules_;
  std::vector<uint8_t> bytes_;
};

// One text for all of them: reading arrays costs a call into the engine for each element, with every scan.
bool read_rules(const std::string& text, std::vector<Rule>* rules) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const size_t first = text.find(' ', at);
    const size_t second = first == std::string::npos ? first : text.find(' ', first + 1);
    if (second == std::string::npos || second > end || rules->size() == kRulesMax) return false;
    const std::string which = text.substr(at, first - at);
    char* number_end = nullptr;
    const unsigned long bytes = strtoul(text.c_str() + first + 1, &number_end, 10);
    if (number_end != text.c_str() + second || bytes > kTailMax) return false;
    if (which != "all" && which != "last") return false;
    rules->push_back(Rule{text.substr(second + 1, end - second - 1), bytes, which == "last"});
    at = end + 1;
  }
  return true;
}

}  // namespace

Napi::Value scan_call(const Napi::CallbackInfo& info) {
  std::vector<Rule> rules;
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsString() ||
      !read_rules(info[1].As<Napi::String>().Utf8Value(), &rules)) {
    Napi::TypeError::New(info.Env(), "scan takes a path and rules").ThrowAsJavaScriptException();
    return Napi::Value();
  }
  return PoolCall::start(info.Env(),
                         std::make_unique<ScanCall>(info[0].As<Napi::String>().Utf8Value(), std::move(rules)));
}

}  // namespace pagelog

#endif
