package ecosystem

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/test/ecosystem/internal/shelfpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// shelf keeps books. It tells in the headers which reader asked.
type shelf struct {
	shelfpb.UnimplementedShelfServer

	mu    sync.Mutex
	books []*shelfpb.Book
}

func (s *shelf) Find(ctx context.Context, in *shelfpb.FindRequest) (*shelfpb.Book, error) {
	reader := metadata.ValueFromIncomingContext(ctx, "reader")
	if err := grpc.SetHeader(ctx, metadata.Pairs("reader", strings.Join(reader, ","))); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); len(metadata.ValueFromIncomingContext(ctx, "hurry")) > 0 && !ok {
		return nil, status.Error(codes.Internal, "the call has no deadline")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.books {
		if b.GetNumber() == in.GetNumber() {
			return b, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no book has the number %d", in.GetNumber())
}

func (s *shelf) Put(_ context.Context, in *shelfpb.Book) (*shelfpb.Book, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books = append(s.books, in)
	return in, nil
}

func (s *shelf) List(_ *shelfpb.ListRequest, st grpc.ServerStreamingServer[shelfpb.Book]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.books {
		if err := st.Send(b); err != nil {
			return err
		}
	}
	return nil
}

// Feature: grpc-gateway v2
//
// A REST request goes through generated gateway code and weir's Client to
// weir's Server, and the answer, a stream or a status comes back as JSON.
func TestGateway(t *testing.T) {
	srv := weir.NewServer()
	shelfpb.RegisterShelfServer(srv, &shelf{books: []*shelfpb.Book{{Number: 1, Title: "Weirs"}}})
	lis := listen(t)
	start(t, srv, lis)
	cc, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	mux := runtime.NewServeMux()
	if err := shelfpb.RegisterShelfHandlerClient(t.Context(), mux, shelfpb.NewShelfClient(cc)); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)

	for _, tt := range []struct {
		name, method, path, body string
		header                   http.Header
		code                     int
		answer                   string // a part of it
	}{
		{"a call", http.MethodGet, "/v1/books/1", "", http.Header{"Grpc-Metadata-Reader": {"me"}}, http.StatusOK, `"title":"Weirs"`},
		{"a deadline", http.MethodGet, "/v1/books/1", "", http.Header{"Grpc-Timeout": {"30S"}, "Grpc-Metadata-Hurry": {"yes"}}, http.StatusOK, `"Weirs"`},
		{"a status", http.MethodGet, "/v1/books/2", "", nil, http.StatusNotFound, `"no book has the number 2"`},
		{"a body", http.MethodPost, "/v1/books", `{"number":"3","title":"Locks"}`, nil, http.StatusOK, `"3"`},
		{"a stream", http.MethodGet, "/v1/books", "", nil, http.StatusOK, "}}\n{\"result\":{"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, web.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(req.Header, tt.header)
			resp, err := web.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			// protojson puts blanks where it likes.
			if err != nil || resp.StatusCode != tt.code || !strings.Contains(strings.ReplaceAll(string(answer), `: "`, `:"`), tt.answer) {
				t.Errorf("the answer is %d %s, %v, want %d %s", resp.StatusCode, answer, err, tt.code, tt.answer)
			}
			if want := tt.header.Get("Grpc-Metadata-Reader"); resp.Header.Get("Grpc-Metadata-Reader") != want {
				t.Errorf("the headers are %v, want the reader %q", resp.Header, want)
			}
		})
	}
}
