package process

import (
	"net/netip"
	"strings"
)

// loopbackOf gives the address of the loopback for one of all interfaces.
func loopbackOf(address string) (string, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", err
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String(), nil
}

// addressesFrom gives the n addresses behind one, with its port and with commas:
// the whole of 127.0.0.0/8 is this machine, on Linux.
func addressesFrom(address string, n int) (list string, err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", err
	}
	var all []string
	for range n {
		at = netip.AddrPortFrom(at.Addr().Next(), at.Port())
		all = append(all, at.String())
	}
	return strings.Join(all, ","), nil
}
