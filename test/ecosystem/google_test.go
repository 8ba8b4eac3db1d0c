//go:build linux

package ecosystem

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weir-rpc/weir"
	"golang.org/x/oauth2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/google"
	"google.golang.org/grpc/credentials/oauth"
)

// googleTarget tells a process of the test its server.
const googleTarget = "WEIR_GOOGLE_TARGET"

// Feature: Google default credentials
//
// Google's bundle secures the connection by the system's authorities, and sends
// its token with each call. Which those are a process finds out once: so the
// client is one of its own.
func TestGoogleDefault(t *testing.T) {
	if target := os.Getenv(googleTarget); target != "" {
		bundle := google.NewDefaultCredentialsWithOptions(google.DefaultCredentialsOptions{
			PerRPCCreds: oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "google's", TokenType: "bearer"})},
		})
		if got := sentToken(t, target, nil, []weir.DialOption{weir.WithCredentialsBundle(bundle), weir.WithAuthority("localhost")}); got != "google's" {
			t.Errorf("the server was sent %q", got)
		}
		return
	}
	a := newAuthority(t)
	cert := a.issue(t, 2)
	target := serveTokens(t, credentials.NewServerTLSFromCert(&cert))
	trusted := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := exec.CommandContext(t.Context(), program, "-test.run=^TestGoogleDefault$", "-test.v")
	client.Env = append(os.Environ(), googleTarget+"="+target, "SSL_CERT_FILE="+trusted)
	if out, err := client.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
