package channel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
)

// Target is where a channel connects to.
type Target struct {
	Text       string // as the user wrote it
	Network    string // of net.Dial
	Address    string
	Lookup     bool   // Address has a host name that DNS is asked about
	NameServer string // host:port of the DNS server to ask; empty means the system's
	Authority  string // the :authority of calls, unless an option says otherwise

	builder resolver.Builder // of who knows the addresses; nil means this package
	url     *url.URL         // for builder; nil without
}

// Hosted reports whether a resolver of grpc's public interface has the addresses.
func (t *Target) Hosted() bool { return t.builder != nil }

const (
	defaultPort     = "443" // of a dns target that names none
	defaultNamePort = "53"  // of a name server
)

// ParseTarget reads a target as gRPC's naming specification has it: dns, which
// is the default, passthrough, unix and unix-abstract.
//
// https://github.com/grpc/grpc/blob/master/doc/naming.md
func ParseTarget(text string) (Target, error) {
	t, err := parseTarget(text)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", text, err)
	}
	t.Text = text
	return t, nil
}

func parseTarget(text string) (Target, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	switch scheme = strings.ToLower(scheme); {
	case ok && scheme == "unix":
		return parseUnix(rest)
	case ok && scheme == "unix-abstract":
		return parseAbstract(rest)
	case ok && scheme == "passthrough":
		_, endpoint, err := splitURI(rest)
		if err != nil {
			return Target{}, err
		}
		return parsePassthrough(endpoint)
	case ok && scheme == "dns":
		server, endpoint, err := splitURI(rest)
		if err != nil {
			return Target{}, err
		}
		return parseDNS(server, endpoint)
	case strings.HasPrefix(text, "/"), ok && strings.HasPrefix(rest, "//"):
		return Target{}, fmt.Errorf("scheme %q is not known: use dns, passthrough, unix or unix-abstract, or WithResolvers", scheme)
	}
	return parseDNS("", text)
}

// FindTarget is ParseTarget that also knows the schemes of resolvers: of those
// given, which come first, and of resolver.Register. As in grpc-go, what has a
// scheme that nobody knows is the host of a dns target.
func FindTarget(text string, builders []resolver.Builder) (Target, error) {
	u, err := url.Parse(text)
	if err == nil && u.Scheme != "" {
		if b := builderOf(u.Scheme, builders); b != nil {
			return hostedTarget(text, u, b)
		}
	}
	if scheme, _, _ := strings.Cut(text, ":"); scheme != text && isOwn(strings.ToLower(scheme)) {
		return ParseTarget(text)
	}
	if b := builderOf("dns", builders); b != nil && !strings.HasPrefix(text, "/") {
		if u, err = url.Parse("dns:///" + text); err != nil {
			return Target{}, fmt.Errorf("target %q: %w", text, err)
		}
		return hostedTarget(text, u, b)
	}
	return ParseTarget(text)
}

// isOwn reports whether this package has the scheme.
func isOwn(scheme string) bool {
	switch scheme {
	case "dns", "passthrough", "unix", "unix-abstract":
		return true
	}
	return false
}

// builderOf gives the resolver for a scheme that is not this package's own affair,
// or nil.
func builderOf(scheme string, builders []resolver.Builder) resolver.Builder {
	for _, b := range builders {
		if b.Scheme() == scheme {
			return b
		}
	}
	if isOwn(scheme) {
		return nil
	}
	return resolver.Get(scheme)
}

// selects is a resolver for xDS whose states have what package weir/xds finds in
// grpc-go's.
type selects interface{ SelectsConfig() }

func hostedTarget(text string, u *url.URL, b resolver.Builder) (Target, error) {
	if _, ok := b.(selects); u.Scheme == "xds" && !ok {
		return Target{}, fmt.Errorf("target %q: the resolver for the scheme xds is grpc-go's own, which keeps to itself how calls are made: import github.com/weir-rpc/weir/xds", text)
	}
	rt := resolver.Target{URL: *u}
	t := Target{Text: text, Network: "tcp", Address: rt.Endpoint(), Authority: authorityOf(rt.Endpoint()), builder: b, url: u}
	if u.Scheme == "unix" || u.Scheme == "unix-abstract" {
		t.Network = "unix" // grpc-go's resolvers say so in words of their own
	}
	if o, ok := b.(resolver.AuthorityOverrider); ok {
		t.Authority = o.OverrideAuthority(rt)
	}
	return t, nil
}

// splitURI takes what follows the colon of a scheme apart: //authority/endpoint
// or the endpoint alone.
func splitURI(rest string) (authority, endpoint string, err error) {
	endpoint = rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if authority, endpoint, ok = strings.Cut(after, "/"); !ok {
			return "", "", fmt.Errorf("an address is missing after the authority %q: write three slashes for none", authority)
		}
	}
	if endpoint == "" {
		return "", "", errors.New("the address is missing")
	}
	return authority, endpoint, nil
}

// parseUnix reads unix:path and unix:///absolute/path.
func parseUnix(rest string) (Target, error) {
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if path = after; !strings.HasPrefix(path, "/") {
			return Target{}, errors.New("a unix target with an authority: write unix:path or unix:///absolute/path")
		}
	}
	if path == "" {
		return Target{}, errors.New("the path is missing")
	}
	return Target{Network: "unix", Address: path, Authority: "localhost"}, nil
}

func parseAbstract(rest string) (Target, error) {
	name := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if name, ok = strings.CutPrefix(after, "/"); !ok {
			return Target{}, errors.New("a unix-abstract target with an authority: write unix-abstract:name or unix-abstract:///name")
		}
	}
	if name == "" {
		return Target{}, errors.New("the name is missing")
	}
	return Target{Network: "unix", Address: "@" + name, Authority: "localhost"}, nil
}

// parsePassthrough hands the endpoint on as it is. One that begins with unix:
// is a socket's path, for the sake of programs from the time before that scheme.
func parsePassthrough(endpoint string) (Target, error) {
	t := Target{Network: "tcp", Address: endpoint, Authority: authorityOf(endpoint)}
	if path, ok := strings.CutPrefix(endpoint, "unix:"); ok {
		u, err := parseUnix(path)
		if err != nil {
			return Target{}, err
		}
		t.Network, t.Address = u.Network, u.Address
	}
	return t, nil
}

func parseDNS(server, endpoint string) (Target, error) {
	host, port, err := hostPort(endpoint, defaultPort)
	if err != nil {
		return Target{}, err
	}
	if server != "" {
		h, p, err := hostPort(server, defaultNamePort)
		if err != nil {
			return Target{}, fmt.Errorf("the name server: %w", err)
		}
		server = net.JoinHostPort(h, p)
	}
	_, err = netip.ParseAddr(host)
	return Target{
		Network:    "tcp",
		Address:    net.JoinHostPort(host, port),
		Lookup:     err != nil,
		NameServer: server,
		Authority:  authorityOf(endpoint),
	}, nil
}

// hostPort takes an address apart: an IP address or a name, with a port or
// without. A port alone means this machine.
func hostPort(address, port string) (string, string, error) {
	if address == "" {
		return "", "", errors.New("the address is missing")
	}
	bare := address
	if inner, ok := strings.CutPrefix(address, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			bare = inner
		}
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return ip.String(), port, nil
	}
	if !strings.Contains(address, ":") {
		return address, port, nil
	}
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", err
	}
	if p == "" {
		return "", "", fmt.Errorf("the port is missing after %q", address)
	}
	if n, err := strconv.Atoi(p); err == nil && (n < 0 || n > 65535) {
		return "", "", fmt.Errorf("there is no port %d", n)
	}
	if host == "" {
		host = "localhost"
	}
	return host, p, nil
}

// authorityOf makes an endpoint the :authority of calls: what may not stand
// there is percent-encoded.
//
// https://www.rfc-editor.org/rfc/rfc3986#section-3.2
func authorityOf(endpoint string) string {
	if ip, err := netip.ParseAddr(endpoint); err == nil && ip.Is6() {
		endpoint = "[" + endpoint + "]"
	} else if strings.HasPrefix(endpoint, ":") {
		endpoint = "localhost" + endpoint
	}
	var b strings.Builder
	for i := range len(endpoint) {
		c := endpoint[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~!$&'()*+,;=:[]@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// forDialer is how an address is told to a dialer that the user gave: as in
// grpc-go, the path of a unix socket has its scheme.
func (t *Target) forDialer(address string) string {
	switch {
	case t.Network != "unix":
		return address
	case filepath.IsAbs(address):
		return "unix://" + address
	}
	return "unix:" + address
}
