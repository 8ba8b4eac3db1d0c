package channel

import (
	"strings"

	"google.golang.org/grpc/resolver"
)

// CanonicalTarget gives a target that ParseTarget has accepted as
// scheme://authority/endpoint. What has no scheme is of dns.
func CanonicalTarget(text string) string {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || !isScheme(strings.ToLower(scheme), rest) {
		return "dns:///" + text
	}
	endpoint, authority := rest, ""
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority, endpoint, _ = strings.Cut(after, "/")
	}
	return strings.ToLower(scheme) + "://" + authority + "/" + strings.TrimPrefix(endpoint, "/")
}

// isScheme tells a scheme from a host with its port. With two slashes behind it
// is one, else if somebody knows it.
func isScheme(scheme, rest string) bool {
	return isOwn(scheme) || strings.HasPrefix(rest, "//") || resolver.Get(scheme) != nil
}
