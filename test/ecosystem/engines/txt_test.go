//go:build linux

package engines

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: service config from DNS TXT records
//
// A record makes of weir's calls what it makes of grpc-go's, but where grpc-go is
// not after gRFC A2, or fails calls without need.
func TestDNS_TXTAsGRPCGo(t *testing.T) {
	t.Parallel()
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err) // no choice by clientHostname is tried then
	}
	n, h := startDNS(t), hosts(1)
	local(t, h[0])
	const config = `"serviceConfig": {"methodConfig": [{"name": [{}], "timeout": "7s"}]}`
	const bad = `"serviceConfig": {"methodConfig": [{"name": [{}], "timeout": 7}]}`
	const none, seven, fails = "no config", "7s", "calls fail"
	for i, tt := range []struct {
		texts       []string
		want, grpcs string // grpcs is empty if it is want
	}{
		{texts: nil, want: none},
		{texts: []string{"v=spf1 -all"}, want: none},
		{texts: []string{`grpc_config=[{` + config + `}]`}, want: seven},
		{texts: []string{`grpc_config=[{"clientLanguage": ["java"]}, {"clientLanguage": ["GO"], ` + config + `}]`}, want: fails, grpcs: seven}, // the first has no config
		{texts: []string{`grpc_config=[{"clientLanguage": ["java"], "serviceConfig": {}}, {"clientLanguage": ["GO"], ` + config + `}]`}, want: seven},
		{texts: []string{`grpc_config=[{"clientHostName": ["` + hostname + `"], ` + config + `}]`}, want: seven},
		{texts: []string{`grpc_config=[{"clientHostname": ["nobody"], ` + bad + `}, {"percentage": 100, ` + config + `}]`}, want: seven},
		{texts: []string{`grpc_config=[{"serviceConfig": {}}, {` + config + `}]`}, want: none},
		{texts: []string{`grpc_config=[{` + bad + `}]`}, want: fails},
		{texts: []string{`grpc_config=[{`}, want: fails},
		{texts: []string{`grpc_config={}`}, want: fails},
		{texts: []string{`grpc_config=`}, want: fails},
		{texts: []string{`grpc_config=[{"clientLanguage": "GO", ` + config + `}]`}, want: fails},
		{texts: []string{`grpc_config=[{"percentage": "100", ` + config + `}]`}, want: fails},
		// What the gRFC says, and grpc-go does not do.
		{texts: []string{`grpc_config=[{"clientLanguage": ["go"], ` + config + `}]`}, want: seven, grpcs: fails},
		{texts: []string{`grpc_config=[{"clientLanguage": [], ` + config + `}]`}, want: seven, grpcs: fails},
		{texts: []string{`grpc_config=[{"unknown": 1, ` + config + `}]`}, want: fails, grpcs: seven},
		{texts: []string{`grpc_config=[{"percentage": 101, ` + config + `}]`}, want: fails, grpcs: seven},
		{texts: []string{`grpc_config=[{"clientLanguage": ["JAVA"], ` + config + `}]`}, want: none, grpcs: fails},
		{texts: []string{`grpc_config=[]`}, want: none, grpcs: fails},
		{texts: []string{"a=1", `grpc_config=[{` + config + `}]`}, want: seven, grpcs: none},
	} {
		name := string(rune('a'+i)) + "." + shelf
		n.set(name, h)
		n.set("_grpc_config."+name, nil, tt.texts...)
		if tt.grpcs == "" {
			tt.grpcs = tt.want
		}
		ours := dial(t, n.target(name), "", weir.WithDNS(weir.DNS{TXTServiceConfig: true}))
		if got := madeOf(t, ours); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.texts, got, tt.want)
		}
		theirs, err := grpc.NewClient(n.target(name), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		if got := madeOf(t, theirs); got != tt.grpcs {
			t.Errorf("%q is %q in grpc-go, want %q", tt.texts, got, tt.grpcs)
		}
		_ = theirs.Close()
		_ = ours.Close()
	}
}

// madeOf says what a client has made of a record.
func madeOf(t *testing.T, cc interface {
	grpc.ClientConnInterface
	GetMethodConfig(method string) grpc.MethodConfig //nolint:staticcheck // there is no other way to it
},
) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
		return "calls fail"
	}
	if d := cc.GetMethodConfig("/a/b").Timeout; d != nil {
		return d.String()
	}
	return "no config"
}
