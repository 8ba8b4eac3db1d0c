// What both sides of the peer have.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "bench.grpc.pb.h"
#include "process.pb.h"

using Clock = std::chrono::steady_clock;
using weir::bench::process::Request;
using weir::bench::process::Setup;
using weir::bench::v1::Bench;
using weir::bench::v1::Message;
using weir::bench::v1::SendRequest;

constexpr int kMaxMessage = 8 << 20;
constexpr int kMaxStreams = 1 << 16;

// Side is a client or a server. Its answers are lines of JSON without the
// braces.
class Side {
 public:
  virtual ~Side() = default;
  virtual std::string Hello() = 0;
  virtual std::string Answer(const Request& request) = 0;
};

std::unique_ptr<Side> NewServer(const Setup& setup);
std::unique_ptr<Side> NewClient(const Setup& setup);

// Used and Glance are as those of ../internal/usage, without what only Go has.
std::string Used();
std::string Glance();
int64_t CpuNanos();

// Fill makes a payload of octets that tell seeds and places apart.
std::string Fill(uint64_t seed, size_t size);

// Pem makes PEM of the base64 of DER.
std::string Pem(const std::string& type, const std::string& base64);
