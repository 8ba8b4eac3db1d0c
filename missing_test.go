package weir_test

import (
	"net"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// A codec or compressor that is not there: the error says on which side, and what
// brings it.
func TestMissing_SaysWhereAndWhatToImport(t *testing.T) {
	zstd := []string{"grpc-encoding", "zstd"}
	t.Run("a client's own compressor", func(t *testing.T) {
		c := newWeirClient(t, "passthrough:///nobody")
		for name, words := range map[string][]string{
			"zstd":    {"the client", `"zstd"`, "import github.com/weir-rpc/weir/zstd"},
			"no-such": {"the client", `"no-such"`, "encoding.RegisterCompressor"},
		} {
			wantText(t, (<-invoke(t.Context(), c, grpc.UseCompressor(name))).err, codes.Internal, words...)
		}
		wantText(t, (<-invoke(t.Context(), c, grpc.CallContentSubtype("no-such"))).err, codes.Internal,
			"the client", `"no-such"`, "encoding.RegisterCodecV2")
	})
	t.Run("names that an option gives", func(t *testing.T) {
		_, err := weir.NewClient("passthrough:///nobody", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithAcceptCompressors("zstd"))
		wantWords(t, err, []string{"WithAcceptCompressors", "import github.com/weir-rpc/weir/zstd"})
	})
	t.Run("a server's", func(t *testing.T) {
		nc, err := net.Dial("tcp", serveOn(t, pairings[0], register{}))
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewClient(t, nc)
		p.Ignore(http2.FrameWindowUpdate, http2.FrameData)
		p.Handshake()
		p.WriteRequest(1, "/grpc.testing.TestService/UnaryCall", nil, false, zstd...)
		p.WriteData(1, true, []byte{1, 0, 0, 0, 1, 'x'})
		h := p.WantTrailers("no compressor", 1, codes.Unimplemented)
		for _, word := range []string{"the client", "the server", "import github.com/weir-rpc/weir/zstd"} {
			if m := h.Get("grpc-message"); !strings.Contains(m, word) {
				t.Errorf("the message is %q, want %q", m, word)
			}
		}
		p.Close()
	})
	t.Run("what a client receives", func(t *testing.T) {
		a := newActor(t)
		call := invoke(t.Context(), newWeirClient(t, a.address()))
		p := a.accept()
		wantRequest(p, 1)
		p.WriteResponse(1, nil, zstd...)
		p.WriteData(1, false, []byte{1, 0, 0, 0, 1, 'x'})
		p.WriteTrailers(1, codes.OK, "")
		wantText(t, (<-call).err, codes.Internal, "the server", "the client", `"zstd"`, "import github.com/weir-rpc/weir/zstd")
	})
}
