package channel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A Resolver looks host names up. *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addresses []string, err error)
}

// minResolutionInterval is the least time between two successful lookups, unless
// DNS has another.
const minResolutionInterval = 30 * time.Second

// addresses gives those that a target stands for. It is used by one round of
// attempts at a time.
type addresses struct {
	target   *Target
	resolver Resolver
	remote   func() bool // whether a proxy looks the host up; nil means no
	rest     time.Duration
	txt      *txt // nil if no service config is looked up

	known []string
	next  time.Time // of a lookup
}

func newAddresses(t *Target, r Resolver, d DNS) *addresses {
	a := &addresses{target: t, resolver: r, rest: d.rest()}
	switch {
	case !t.Lookup:
		a.known = []string{t.Address}
	case r != nil:
	case t.NameServer == "":
		a.resolver = net.DefaultResolver
	default:
		a.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, t.NameServer)
		}}
	}
	if records, ok := a.resolver.(TXTResolver); ok && d.TXT {
		a.txt = &txt{resolver: records}
	}
	return a
}

// outdate makes the next list ask again: the channel was READY since, and what
// ended its connection may be why its server has moved.
func (a *addresses) outdate() { a.next = time.Time{} }

// list gives the addresses in the order in which to try them. When a lookup
// fails, those of an earlier one serve; the error comes with them.
func (a *addresses) list(ctx context.Context, timeout time.Duration) ([]string, error) {
	if a.target.Lookup && a.remote != nil && a.remote() {
		return []string{a.target.Address}, nil
	}
	if !a.target.Lookup || len(a.known) > 0 && time.Now().Before(a.next) {
		return a.known, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &connectTimeoutError{timeout})
	defer cancel()
	found, err := a.lookup(ctx)
	if err != nil {
		return a.known, err
	}
	a.known, a.next = found, time.Now().Add(a.rest)
	return found, nil
}

func (a *addresses) lookup(ctx context.Context) ([]string, error) {
	host, port, err := net.SplitHostPort(a.target.Address)
	if err != nil {
		return nil, err
	}
	told := a.txt.look(ctx, host)
	names, err := a.resolver.LookupHost(ctx, host)
	told()
	if err == nil && len(names) == 0 {
		err = errors.New("the name has no addresses")
	}
	if err != nil {
		return nil, newConnectError(ctx, host, stepResolve, err)
	}
	return inOrder(names, port), nil
}

// inOrder gives the addresses of names in the order in which to try them.
func inOrder(names []string, port string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = net.JoinHostPort(name, port)
	}
	return inTurns(list)
}

// inTurns leaves out what is there twice and lets the two families take turns,
// so that a network that carries only one of them delays by one address.
//
// https://www.rfc-editor.org/rfc/rfc8305#section-4
func inTurns(addresses []string) []string {
	var turns [2][]string
	first := -1
	for _, address := range addresses {
		family := 0
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().Is4() {
			family = 1
		}
		if first < 0 {
			first = family
		}
		if !slices.Contains(turns[family], address) {
			turns[family] = append(turns[family], address)
		}
	}
	var list []string
	for i := range addresses {
		for _, family := range []int{first, 1 - first} {
			if i < len(turns[family]) {
				list = append(list, turns[family][i])
			}
		}
	}
	return list
}
