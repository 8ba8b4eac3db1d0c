package channel

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Target is where a channel connects to.
type Target struct {
	Network   string // of net.Dial
	Address   string
	Authority string // the :authority of calls, unless an option says otherwise
}

// defaultPort is the port of a dns target that names none.
const defaultPort = "443"

// ParseTarget reads a target as gRPC's naming specification has it: dns, which
// is the default, passthrough, unix and unix-abstract.
//
// https://github.com/grpc/grpc/blob/master/doc/naming.md
func ParseTarget(target string) (Target, error) {
	scheme, rest, ok := strings.Cut(target, ":")
	if !ok || !knownScheme(scheme) {
		if u, err := url.Parse(target); err == nil && strings.HasPrefix(u.Opaque+u.Host+u.Path, "/") || strings.Contains(target, "://") {
			return Target{}, fmt.Errorf("target %q: scheme %q is not known: use dns, passthrough, unix or unix-abstract", target, scheme)
		}
		scheme, rest = "dns", "///"+target
	}
	switch scheme {
	case "unix":
		// unix:path, unix:///absolute
		path := rest
		if after, ok := strings.CutPrefix(rest, "//"); ok {
			if path = after; !strings.HasPrefix(path, "/") {
				return Target{}, fmt.Errorf("target %q: a unix target with an authority: write unix:path or unix:///absolute/path", target)
			}
		}
		if path == "" {
			return Target{}, fmt.Errorf("target %q: the path is missing", target)
		}
		return Target{"unix", path, "localhost"}, nil
	case "unix-abstract":
		name := strings.TrimPrefix(rest, "///")
		if name == "" {
			return Target{}, fmt.Errorf("target %q: the name is missing", target)
		}
		return Target{"unix", "@" + name, "localhost"}, nil
	}
	endpoint := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		server, path, found := strings.Cut(after, "/")
		if !found || server != "" {
			return Target{}, fmt.Errorf("target %q: write %s:///host:port (a name server in the target is not supported)", target, scheme)
		}
		endpoint = path
	}
	if endpoint == "" {
		return Target{}, fmt.Errorf("target %q: the address is missing", target)
	}
	if scheme == "passthrough" {
		return Target{"tcp", endpoint, endpoint}, nil
	}
	address, err := withPort(endpoint)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", target, err)
	}
	return Target{"tcp", address, endpoint}, nil
}

func knownScheme(s string) bool {
	switch s {
	case "dns", "passthrough", "unix", "unix-abstract":
		return true
	}
	return false
}

// withPort adds the default port to an address that has none.
func withPort(address string) (string, error) {
	if ip := net.ParseIP(strings.Trim(address, "[]")); ip != nil {
		return net.JoinHostPort(ip.String(), defaultPort), nil
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err == nil && port == "":
		return "", fmt.Errorf("the port is missing after %q", address)
	case err == nil && host == "":
		return net.JoinHostPort("localhost", port), nil
	case err == nil:
		return address, nil
	case strings.Contains(address, ":"):
		return "", err
	}
	return net.JoinHostPort(address, defaultPort), nil
}
