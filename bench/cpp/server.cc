#include <netinet/in.h>
#include <sys/socket.h>

#include <mutex>
#include <thread>

#include "side.h"

namespace {

using grpc::CallbackServerContext;
using grpc::Status;

// Service does what that of ../internal/peers does.
class Service final : public Bench::CallbackService {
 public:
  explicit Service(const Setup& setup)
      : deadline_(setup.scenario().deadline()),
        sent_(Fill(0, setup.scenario().payload())) {}

  grpc::ServerUnaryReactor* Echo(CallbackServerContext* context, const Message* request, Message* reply) override {
    auto* reactor = context->DefaultReactor();
    if (deadline_ && context->raw_deadline().tv_sec == gpr_inf_future(GPR_CLOCK_REALTIME).tv_sec) {
      reactor->Finish(Status(grpc::StatusCode::UNKNOWN, "expected a deadline for each call; came none"));
      return reactor;
    }
    reply->set_sequence(request->sequence());
    reply->set_payload(request->payload());
    reactor->Finish(Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<Message, Message>* PingPong(CallbackServerContext*) override {
    class Reactor final : public grpc::ServerBidiReactor<Message, Message> {
     public:
      Reactor() { StartRead(&request_); }
      void OnReadDone(bool ok) override {
        if (!ok) return Finish(Status::OK);
        reply_.set_sequence(request_.sequence());
        reply_.set_payload(request_.payload());
        StartWrite(&reply_);
      }
      void OnWriteDone(bool ok) override {
        if (!ok) return Finish(Status(grpc::StatusCode::UNAVAILABLE, "the client has gone"));
        StartRead(&request_);
      }
      void OnDone() override { delete this; }

     private:
      Message request_, reply_;
    };
    return new Reactor;
  }

  grpc::ServerWriteReactor<Message>* Send(CallbackServerContext*, const SendRequest* request) override {
    class Reactor final : public grpc::ServerWriteReactor<Message> {
     public:
      Reactor(const SendRequest& request, const std::string& sent) : left_(request.messages()) {
        message_.set_sequence(request.first() - 1);
        message_.set_payload(sent);
        Next();
      }
      void OnWriteDone(bool ok) override {
        if (!ok) return Finish(Status(grpc::StatusCode::UNAVAILABLE, "the client has gone"));
        Next();
      }
      void OnDone() override { delete this; }

     private:
      // A message is over when it is written: gRPC C++ has serialized it.
      void Next() {
        if (left_-- == 0) return Finish(Status::OK);
        message_.set_sequence(message_.sequence() + 1);
        StartWrite(&message_);
      }

      int left_;
      Message message_;
    };
    return new Reactor(*request, sent_);
  }

 private:
  const bool deadline_;
  const std::string sent_;
};

class Server final : public Side {
 public:
  explicit Server(const Setup& setup) : service_(setup) {
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (setup.has_identity()) {
      grpc::SslServerCredentialsOptions options;
      options.pem_key_cert_pairs.push_back(
          {Pem("PRIVATE KEY", setup.identity().key()), Pem("CERTIFICATE", setup.identity().certificate())});
      credentials = grpc::SslServerCredentials(options);
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) throw std::runtime_error("expected to listen on 127.0.0.1; could not");
  }

  std::string Hello() override { return "\"address\":\"127.0.0.1:" + std::to_string(port_) + "\""; }

  std::string Answer(const Request& request) override {
    std::string answer = "\"connections\":" + std::to_string(Connections());
    if (request.used()) return answer + "," + Used();
    if (request.glance()) return answer + ",\"holds\":" + Glance();
    return answer;
  }

 private:
  // Connections are the sockets of this process that are connected at its
  // port: gRPC does not tell whom it accepts.
  int Connections() const {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) {
      sockaddr_in local{}, remote{};
      socklen_t length = sizeof local;
      if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0 || local.sin_port != htons(port_)) continue;
      length = sizeof remote;
      n += getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &length) == 0;
    }
    return n;
  }

  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

std::unique_ptr<Side> NewServer(const Setup& setup) { return std::make_unique<Server>(setup); }
