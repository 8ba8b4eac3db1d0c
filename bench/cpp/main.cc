// A process of the benchmark whose transport is gRPC C++: it reads a line of
// JSON for each request and answers with one, as ../internal/process says. It
// ends when its input ends.
#include <google/protobuf/util/json_util.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "side.h"

int64_t CpuNanos() {
  rusage ru{};
  if (getrusage(RUSAGE_SELF, &ru) != 0) throw std::runtime_error("getrusage failed");
  auto nanos = [](const timeval& t) { return t.tv_sec * 1000000000LL + t.tv_usec * 1000LL; };
  return nanos(ru.ru_utime) + nanos(ru.ru_stime);
}

std::string Used() { return "\"used\":{\"cpu_ns\":" + std::to_string(CpuNanos()) + "}"; }

std::string Glance() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) throw std::runtime_error("/proc/self/statm: expected two numbers");
  return "{\"rss\":" + std::to_string(resident * sysconf(_SC_PAGESIZE)) + "}";
}

std::string Fill(uint64_t seed, size_t size) {
  std::string payload(size, '\0');
  uint64_t x = seed * 0x9e3779b97f4a7c15 + 1;
  for (char& c : payload) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    c = static_cast<char>(x >> 32);
  }
  return payload;
}

std::string Pem(const std::string& type, const std::string& base64) {
  std::string pem = "-----BEGIN " + type + "-----\n";
  for (size_t i = 0; i < base64.size(); i += 64) pem += base64.substr(i, 64) + "\n";
  return pem + "-----END " + type + "-----\n";
}

namespace {

template <typename M>
M Parse(const std::string& line) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  M m;
  auto status = google::protobuf::util::JsonStringToMessage(line, &m, options);
  if (!status.ok()) throw std::runtime_error("expected a line of JSON; came " + status.ToString());
  return m;
}

std::string Quoted(const std::string& words) {
  std::string s = "\"";
  for (char c : words) {
    if (c == '"' || c == '\\') s += '\\';
    s += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return s + "\"";
}

void Serve() {
  std::string line;
  if (!std::getline(std::cin, line)) throw std::runtime_error("expected a setup; came nothing");
  auto setup = Parse<Setup>(line);
  std::unique_ptr<Side> side = setup.role() == "server" ? NewServer(setup) : NewClient(setup);
  std::cout << "{" << side->Hello() << "}" << std::endl;
  while (std::getline(std::cin, line)) {
    std::string answer;
    try {
      answer = side->Answer(Parse<Request>(line));
    } catch (const std::exception& e) {
      answer = "\"error\":" + Quoted(e.what());
    }
    std::cout << "{" << answer << "}" << std::endl;
  }
  // The end of the process ends its connections. To take gRPC down in order can
  // take longer than a process has that is told to end.
  std::_Exit(0);
}

}  // namespace

int main() {
  std::signal(SIGINT, SIG_IGN);  // those of a terminal are for who started this
  try {
    Serve();
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
  return 0;
}
