package channel

import (
	"strings"

	"google.golang.org/grpc/resolver"
)

// CanonicalTarget gives the target as scheme://authority/endpoint.
func (c *Channel) CanonicalTarget() string { return c.first.dialer.target.canonical() }

// canonical writes t out. What has no scheme is of dns.
func (t *Target) canonical() string {
	if t.builder != nil {
		return resolver.Target{URL: *t.url}.String()
	}
	scheme, rest, ok := strings.Cut(t.Text, ":")
	if scheme = strings.ToLower(scheme); !ok || !isOwn(scheme) {
		return "dns:///" + t.Text
	}
	endpoint, authority := rest, ""
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority, endpoint, _ = strings.Cut(after, "/")
	}
	return scheme + "://" + authority + "/" + strings.TrimPrefix(endpoint, "/")
}
