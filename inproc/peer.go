package inproc

import (
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Addr is the address of both ends of a Pipe.
type Addr struct{}

// Network gives "inproc".
func (Addr) Network() string { return "inproc" }

// String gives "inproc".
func (Addr) String() string { return "inproc" }

var _ net.Addr = Addr{}

// AuthInfo is what both ends know of each other unless the configuration has
// another: nobody is between them, so that the security level is
// credentials.PrivacyAndIntegrity and credentials for calls may be sent.
type AuthInfo struct{ credentials.CommonAuthInfo }

// AuthType gives "inproc".
func (AuthInfo) AuthType() string { return "inproc" }

// ValidateAuthority allows every name: a call goes to the server of this
// process, whatever it is called.
func (AuthInfo) ValidateAuthority(string) error { return nil }

var _ credentials.AuthorityValidator = AuthInfo{}

func newPeer(info credentials.AuthInfo) *peer.Peer {
	if info == nil {
		info = AuthInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	}
	return &peer.Peer{Addr: Addr{}, LocalAddr: Addr{}, AuthInfo: info}
}
