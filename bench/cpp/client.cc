#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "side.h"

namespace {

using grpc::ClientContext;
using grpc::Status;

constexpr auto kPatience = std::chrono::seconds(30);

// Run is what the lanes of one run share.
struct Run {
  std::atomic<bool> over{false};

  std::mutex mu;
  std::condition_variable ended;
  int lanes = 0;  // that have not ended
  std::string error;

  void End(const std::string& why) {
    std::lock_guard<std::mutex> lock(mu);
    if (!why.empty()) {
      over = true;
      if (error.empty()) error = why;
    }
    if (--lanes == 0) ended.notify_all();
  }
};

// Check is as in ../internal/benchpb: all of a short payload, and of a long one
// eight octets in each KiB and at both ends.
std::string Check(const Message& m, uint64_t sequence, const std::string& payload) {
  if (m.sequence() != sequence)
    return "expected message " + std::to_string(sequence) + "; came " + std::to_string(m.sequence());
  const std::string& got = m.payload();
  if (got.size() != payload.size())
    return "expected " + std::to_string(payload.size()) + " octets; came " + std::to_string(got.size());
  if (got.size() <= 8 << 10) return got == payload ? "" : "expected other octets";
  for (size_t i = 0;; i += 1 << 10) {
    i = std::min(i, got.size() - 8);
    if (std::memcmp(got.data() + i, payload.data() + i, 8) != 0) return "expected other octets";
    if (i == got.size() - 8) return "";
  }
}

// Lane makes one call after the other, or has one stream.
class Lane {
 public:
  Lane(std::shared_ptr<grpc::Channel> channel, uint64_t sequence, std::string payload)
      : stub(Bench::NewStub(channel)), sequence(sequence), payload(std::move(payload)) {}
  virtual ~Lane() = default;

  void Begin(Run* r) {
    run = r;
    calls = 0;
    timed.clear();
    started = Clock::now();
    Start();
  }

  std::vector<uint32_t> timed;  // in units of 100 ns
  int64_t calls = 0;

 protected:
  virtual void Start() = 0;

  void Time() {
    auto now = Clock::now();
    timed.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(now - started).count() / 100);
    started = now;
  }

  std::unique_ptr<Bench::Stub> stub;
  uint64_t sequence;
  const std::string payload;
  Run* run = nullptr;
  Clock::time_point started;
};

class UnaryLane final : public Lane {
 public:
  UnaryLane(std::shared_ptr<grpc::Channel> channel, uint64_t sequence, std::string payload, bool deadline)
      : Lane(channel, sequence, payload), deadline_(deadline) {
    request_.set_payload(this->payload);
  }

 protected:
  void Start() override {
    context_.emplace();
    if (deadline_) context_->set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    request_.set_sequence(++sequence);
    stub->async()->Echo(&*context_, &request_, &reply_, [this](Status status) { Done(status); });
  }

 private:
  void Done(const Status& status) {
    if (!status.ok()) return run->End("expected a reply; came " + status.error_message());
    auto wrong = Check(reply_, sequence, payload);
    if (!wrong.empty()) return run->End(wrong);
    calls++;
    Time();
    if (run->over) return run->End("");
    Start();
  }

  const bool deadline_;
  std::optional<ClientContext> context_;
  Message request_, reply_;
};

class PingPongLane final : public Lane {
 public:
  using Lane::Lane;

 protected:
  void Start() override { new Reactor(this); }

 private:
  class Reactor final : public grpc::ClientBidiReactor<Message, Message> {
   public:
    explicit Reactor(PingPongLane* lane) : lane_(lane) {
      message_.set_payload(lane->payload);
      lane->stub->async()->PingPong(&context_, this);
      Next();
      StartCall();
    }
    void OnReadDone(bool ok) override {
      if (!ok) return;  // OnDone says why
      wrong_ = Check(reply_, lane_->sequence, lane_->payload);
      if (!wrong_.empty()) return context_.TryCancel();
      lane_->calls++;
      Half();
    }
    void OnWriteDone(bool ok) override {
      if (ok) Half();  // else OnDone says why
    }
    void OnDone(const Status& status) override {
      if (wrong_.empty() && (!status.ok() || !last_)) wrong_ = "expected a message; came the end: " + status.error_message();
      lane_->run->End(wrong_);
      delete this;
    }

   private:
    // Half is called twice for an exchange: the answer may come before gRPC
    // says that the message was written.
    void Half() {
      if (--halves_ > 0) return;
      lane_->Time();
      if (lane_->run->over) {
        last_ = true;
        StartWritesDone();
        StartRead(&reply_);
        return;
      }
      Next();
    }

    void Next() {
      halves_ = 2;
      message_.set_sequence(++lane_->sequence);
      StartRead(&reply_);
      StartWrite(&message_);
    }

    PingPongLane* lane_;
    ClientContext context_;
    Message message_, reply_;
    std::atomic<int> halves_{0};
    std::string wrong_;
    bool last_ = false;
  };
};

// StreamLane asks for one burst after the other.
class StreamLane final : public Lane {
 public:
  StreamLane(std::shared_ptr<grpc::Channel> channel, uint64_t sequence, std::string payload, int burst)
      : Lane(channel, sequence, payload), burst_(burst) {}

 protected:
  void Start() override { new Reactor(this); }

 private:
  class Reactor final : public grpc::ClientReadReactor<Message> {
   public:
    explicit Reactor(StreamLane* lane) : lane_(lane), left_(lane->burst_) {
      request_.set_messages(lane->burst_);
      request_.set_size(static_cast<int>(lane->payload.size()));
      request_.set_first(lane->sequence + 1);
      lane->stub->async()->Send(&context_, &request_, this);
      StartRead(&message_);
      StartCall();
    }
    void OnReadDone(bool ok) override {
      if (!ok) return;  // OnDone says why
      wrong_ = left_-- == 0 ? "expected the end of the stream" : Check(message_, ++lane_->sequence, lane_->payload);
      if (!wrong_.empty()) return context_.TryCancel();
      lane_->calls++;
      StartRead(&message_);
    }
    void OnDone(const Status& status) override {
      auto* lane = lane_;
      if (wrong_.empty() && (!status.ok() || left_ != 0)) wrong_ = "expected a message; came the end: " + status.error_message();
      auto wrong = wrong_;
      delete this;
      lane->Time();
      if (!wrong.empty() || lane->run->over) return lane->run->End(wrong);
      lane->Start();
    }

   private:
    StreamLane* lane_;
    int left_;
    ClientContext context_;
    SendRequest request_;
    Message message_;
    std::string wrong_;
  };

  const int burst_;
};

// Spread is the latency as in ../internal/load.
std::string Spread(std::vector<uint32_t> all) {
  std::sort(all.begin(), all.end());
  auto rank = [&all](size_t per_mille) {
    if (all.size() * (1000 - per_mille) < 1000) return std::string("0");
    return std::to_string(int64_t{all[(all.size() * per_mille + 999) / 1000 - 1]} * 100);
  };
  return "{\"p50_ns\":" + rank(500) + ",\"p99_ns\":" + rank(990) + ",\"p999_ns\":" + rank(999) + "}";
}

class Client final : public Side {
 public:
  explicit Client(const Setup& setup) {
    const auto& s = setup.scenario();
    if (s.connections() < 1) throw std::runtime_error("expected a scenario with connections; came one without");
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int i = 0; i < s.connections(); i++) {
      channels.push_back(Dial(setup));
      Once(channels.back());
    }
    for (int i = 0; i < s.outstanding(); i++) {
      auto& channel = channels[i % channels.size()];
      auto sequence = static_cast<uint64_t>(i) << 40;
      if (s.shape() == "unary")
        lanes_.push_back(std::make_unique<UnaryLane>(channel, sequence, Fill(i, s.payload()), s.deadline()));
      else if (s.shape() == "bidi")
        lanes_.push_back(std::make_unique<PingPongLane>(channel, sequence, Fill(i, s.payload())));
      else if (s.shape() == "stream")
        lanes_.push_back(std::make_unique<StreamLane>(channel, sequence, Fill(0, s.payload()), s.burst()));
      else
        throw std::runtime_error("expected a shape of calls; came " + s.shape());
    }
  }

  std::string Hello() override { return ""; }

  std::string Answer(const Request& request) override {
    if (request.run_ns() > 0) return "\"window\":" + RunFor(std::chrono::nanoseconds(request.run_ns()));
    if (request.used()) return Used();
    if (request.glance()) return "\"holds\":" + Glance();
    return "";
  }

 private:
  static std::shared_ptr<grpc::Channel> Dial(const Setup& setup) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessage);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    auto credentials = grpc::InsecureChannelCredentials();
    if (setup.has_identity()) {
      grpc::SslCredentialsOptions options;
      options.pem_root_certs = Pem("CERTIFICATE", setup.identity().certificate());
      credentials = grpc::SslCredentials(options);
      arguments.SetSslTargetNameOverride("weirbench.test");
    }
    return grpc::CreateCustomChannel(setup.target(), credentials, arguments);
  }

  static void Once(const std::shared_ptr<grpc::Channel>& channel) {
    ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_wait_for_ready(true);
    Message request, reply;
    auto status = Bench::NewStub(channel)->Echo(&context, request, &reply);
    if (!status.ok()) throw std::runtime_error("expected a reply; came " + status.error_message());
  }

  std::string RunFor(std::chrono::nanoseconds d) {
    Run run;
    run.lanes = static_cast<int>(lanes_.size());
    auto cpu = CpuNanos();
    auto started = Clock::now();
    for (auto& lane : lanes_) lane->Begin(&run);
    std::this_thread::sleep_until(started + d / 2);
    auto midway = Glance();
    std::this_thread::sleep_until(started + d);
    run.over = true;
    {
      std::unique_lock<std::mutex> lock(run.mu);
      if (!run.ended.wait_for(lock, kPatience, [&run] { return run.lanes == 0; })) {
        std::fputs("the calls did not end\n", stderr);
        std::abort();  // they still have what this run has
      }
    }
    auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - started).count();
    cpu = CpuNanos() - cpu;
    if (!run.error.empty()) throw std::runtime_error(run.error);
    int64_t calls = 0;
    std::vector<uint32_t> timed;
    for (auto& lane : lanes_) {
      calls += lane->calls;
      timed.insert(timed.end(), lane->timed.begin(), lane->timed.end());
    }
    return "{\"calls\":" + std::to_string(calls) + ",\"elapsed_ns\":" + std::to_string(elapsed) +
           ",\"latency\":" + Spread(std::move(timed)) + ",\"used\":{\"cpu_ns\":" + std::to_string(cpu) +
           "},\"midway\":" + midway + "}";
  }

  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace

std::unique_ptr<Side> NewClient(const Setup& setup) { return std::make_unique<Client>(setup); }
