package servehttp

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
)

// Handler gives an http.Handler that passes requests to srv. For stats
// handlers, and for Stop, GracefulStop and Shutdown, each request is a
// connection with one call. A request that is not gRPC's is answered with the
// HTTP status that says why: 405 unless it is a POST, 415 without a
// content-type of gRPC, 505 over HTTP/1, 400 with a malformed grpc-timeout.
// After the Server has stopped, calls fail with UNAVAILABLE.
func Handler(srv *weir.Server) http.Handler {
	return &handler{srv: srv, cfg: srv.TransportConfig()}
}

// IsGRPC reports whether a request is one for Handler, to tell it from others
// on the same port: whether it is a POST with a content-type of gRPC.
func IsGRPC(r *http.Request) bool {
	_, ok := grpcwire.ParseContentType(r.Header.Get("Content-Type"))
	return ok && r.Method == http.MethodPost
}

type handler struct {
	srv *weir.Server
	cfg transport.ServerConfig
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	received := time.Now()
	subtype, ok := grpcwire.ParseContentType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, codes.Internal, "the client sent :method "+r.Method+", gRPC needs POST")
		return
	case !ok:
		refuse(w, http.StatusUnsupportedMediaType, codes.Internal, fmt.Sprintf("the client sent content-type %q, gRPC needs application/grpc or application/grpc+subtype", r.Header.Get("Content-Type")))
		return
	case r.ProtoMajor < 2:
		refuse(w, http.StatusHTTPVersionNotSupported, codes.Internal, "the client spoke "+r.Proto+", gRPC needs HTTP/2: this server has it if http.Server.Protocols allows it, without TLS by SetUnencryptedHTTP2")
		return
	}
	var deadline time.Time
	if timeout := r.Header["Grpc-Timeout"]; len(timeout) > 0 {
		d, err := grpcwire.ParseTimeout(timeout[0])
		if err != nil {
			refuse(w, http.StatusBadRequest, codes.Internal, fmt.Sprintf("the client sent grpc-timeout %q, gRPC needs one to eight digits and one of H M S m u n", timeout[0]))
			return
		}
		deadline = received.Add(d)
	}
	st := newStream(&h.cfg, w, r, subtype, received, deadline)
	if err := h.srv.ServeTransport(&st.tr); err != nil {
		refuse(w, http.StatusOK, codes.Unavailable, err.Error())
		return
	}
	st.serve()
}

// refuse answers a request that no handler sees: for gRPC by a status, for
// others by HTTP's and a text.
func refuse(w http.ResponseWriter, status int, code codes.Code, text string) {
	h := w.Header()
	h["Date"] = nil
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(code)))
	h.Set("Grpc-Message", grpcwire.EncodeMessage(text))
	if status != http.StatusOK {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(status)
	if status != http.StatusOK {
		_, _ = w.Write([]byte(text + "\n")) //nolint:gosec // text/plain, which nobody may take for anything else
	}
}
