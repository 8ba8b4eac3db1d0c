package ecosystem

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/weir-rpc/weir"
	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/oauth"
	"google.golang.org/grpc/credentials/sts"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// secured gives the credentials of a server called localhost, and of a client
// that trusts it.
func secured(t *testing.T) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return server, credentials.NewClientTLSFromCert(pool, "localhost")
}

// startTokens starts a server whose trailers tell the token that it was sent, and
// gives credentials for it.
func startTokens(t *testing.T) (target string, client credentials.TransportCredentials) {
	t.Helper()
	server, client := secured(t)
	return serveTokens(t, server), client
}

// serveTokens is startTokens with credentials of the caller's.
func serveTokens(t *testing.T, server credentials.TransportCredentials) (target string) {
	t.Helper()
	srv := weir.NewServer(weir.Creds(server), weir.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		token, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("token", token)); err != nil {
			return nil, err
		}
		return handle(ctx, req)
	}))
	testgrpc.RegisterTestServiceServer(srv, service{})
	lis := listen(t)
	start(t, srv, lis)
	return lis.Addr().String()
}

// sentToken makes a call and gives the token that the server was sent.
func sentToken(t *testing.T, target string, creds credentials.TransportCredentials, dial []weir.DialOption, call ...grpc.CallOption) string {
	t.Helper()
	cc, err := weir.NewClient(target, append(dial, weir.WithTransportCredentials(creds))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	var trailer metadata.MD
	if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, append(call, grpc.Trailer(&trailer))...); err != nil {
		t.Fatal(err)
	}
	return strings.Join(trailer.Get("token"), "|")
}

// Feature: oauth per-RPC credentials
//
// A token source of oauth gives its token to every call of a client, or to one
// call, over TLS, and to none over a connection that is not secure.
func TestOauth(t *testing.T) {
	target, client := startTokens(t)
	source := oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "first", TokenType: "bearer"})}
	other := oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "second", TokenType: "bearer"})}

	for _, tt := range []struct {
		name  string
		dial  []weir.DialOption
		call  []grpc.CallOption
		token string
	}{
		{"of the client", []weir.DialOption{weir.WithPerRPCCredentials(source)}, nil, "first"},
		{"of the call", nil, []grpc.CallOption{grpc.PerRPCCredentials(other)}, "second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sentToken(t, target, client, tt.dial, tt.call...); got != tt.token {
				t.Errorf("the server was sent %q, want %q", got, tt.token)
			}
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		if _, err := weir.NewClient(target, weir.WithPerRPCCredentials(source), weir.WithTransportCredentials(insecure.NewCredentials())); err == nil || !strings.Contains(err.Error(), "secur") {
			t.Errorf("NewClient gave %v", err)
		}
	})
}

// Feature: service account (JWT) per-RPC credentials
//
// Credentials of a service account sign a token for the server that the call
// goes to, of which weir tells them.
func TestOauth_ServiceAccount(t *testing.T) {
	target, client := startTokens(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@example.com", "private_key_id": "one",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := oauth.NewJWTAccessFromKey(account)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(sentToken(t, target, client, []weir.DialOption{weir.WithPerRPCCredentials(jwt)}), ".")
	if len(parts) != 3 {
		t.Fatalf("the server was sent %q, which is no token", parts)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct{ Iss, Aud string }
	if err == nil {
		err = json.Unmarshal(claims, &said)
	}
	if err != nil || said.Iss != "me@example.com" || said.Aud != "https://localhost/" {
		t.Errorf("the token says %s, %v", claims, err)
	}
}

// Feature: STS token exchange (RFC 8693) per-RPC credentials
//
// A token of one's own is exchanged for one that calls are sent with.
func TestOauth_TokenExchange(t *testing.T) {
	target, client := startTokens(t)
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			SubjectToken string `json:"subject_token"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.SubjectToken != "mine" {
			t.Errorf("the exchange was asked with %v, %v", asked, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token": "exchanged", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	t.Cleanup(exchange.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	creds, err := sts.NewCredentials(sts.Options{
		TokenExchangeServiceURI: exchange.URL, SubjectTokenPath: file, SubjectTokenType: "urn:ietf:params:oauth:token-type:id_token",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := sentToken(t, target, client, []weir.DialOption{weir.WithPerRPCCredentials(creds)}); got != "exchanged" {
		t.Errorf("the server was sent %q", got)
	}
}
