package channelz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
)

func TestAddress(t *testing.T) {
	tcp := func(ip []byte, port int32) *channelzpb.Address {
		return &channelzpb.Address{Address: &channelzpb.Address_TcpipAddress{TcpipAddress: &channelzpb.Address_TcpIpAddress{IpAddress: ip, Port: port}}}
	}
	for _, tt := range []struct {
		network, text string
		want          *channelzpb.Address
	}{
		{"tcp", "192.0.2.1:443", tcp([]byte{192, 0, 2, 1}, 443)},
		{"tcp", "[2001:db8::1]:80", tcp(net.ParseIP("2001:db8::1"), 80)},
		{"tcp", "[::ffff:192.0.2.1]:80", tcp([]byte{192, 0, 2, 1}, 80)},
		{"unix", "/run/s", &channelzpb.Address{Address: &channelzpb.Address_UdsAddress_{UdsAddress: &channelzpb.Address_UdsAddress{Filename: "/run/s"}}}},
		{"bufconn", "bufconn", &channelzpb.Address{Address: &channelzpb.Address_OtherAddress_{OtherAddress: &channelzpb.Address_OtherAddress{Name: "bufconn bufconn"}}}},
		{"", "", nil},
	} {
		if got := address(inspect.Address{Network: tt.network, Text: tt.text}); !proto.Equal(got, tt.want) {
			t.Errorf("%s %q is %v, want %v", tt.network, tt.text, got, tt.want)
		}
	}
}

// Feature: channelz: TLS cipher suite and certificates of a socket
//
// A client tells the server's certificate, and the server its own.
func TestSecurity(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	r := inspect.NewRegistry()
	srv := weir.NewServer(weir.InspectRegistry(r), weir.Creds(credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), weir.WithInspectRegistry(r), weir.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "a.test"})))
	if err != nil {
		t.Fatal(err)
	}
	c.Connect()
	for s := c.GetState(); s != connectivity.Ready; s = c.GetState() {
		if s == connectivity.TransientFailure || !c.WaitForStateChange(t.Context(), s) {
			t.Fatalf("the state is %v", s)
		}
	}
	one := c.InspectConnections()[0].Inspect(true)
	got := socket(&one, false)
	suite := got.GetSecurity().GetTls()
	if suite.GetStandardName() == "" || string(suite.GetRemoteCertificate()) != string(der) || got.GetRemoteName() != "a.test" {
		t.Errorf("the client's socket: %v", got)
	}
	if len(got.GetData().GetOption()) == 0 && one.Socket != nil {
		t.Error("the socket below TLS tells no options")
	}
	srv.Stop()
	<-served
	c.Close()
	for typ, want := range map[string]*channelzpb.Security{
		"": nil, "insecure": nil,
		"mine": {Model: &channelzpb.Security_Other{Other: &channelzpb.Security_OtherSecurity{Name: "mine"}}},
	} {
		if got := security(&inspect.Security{Type: typ}); !proto.Equal(got, want) {
			t.Errorf("security %q is %v, want %v", typ, got, want)
		}
	}
}

// A socket of any texts can be sent.
func TestSocket_AnyText(t *testing.T) {
	at := inspect.Address{Network: "unix\xff", Text: "/run/\xff"}
	for _, kind := range []string{"tls", "mine\xff"} {
		c := &inspect.Conn{RemoteName: "a\xff", Local: at, Remote: inspect.Address{Network: "\xff", Text: "\xff"}, Security: inspect.Security{Type: kind, CipherSuite: "\xff"}}
		l := inspect.Listener{Address: at}
		for _, m := range []proto.Message{socket(c, false), listenerRef(l), server(&inspect.Server{Listeners: []inspect.Listener{l}})} {
			if _, err := proto.Marshal(m); err != nil {
				t.Errorf("%T: %v", m, err)
			}
		}
	}
}
