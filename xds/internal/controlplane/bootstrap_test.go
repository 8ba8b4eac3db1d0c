package controlplane

import (
	"testing"

	"google.golang.org/grpc/xds"
)

// gRPC's own parser takes each kind of file.
func TestBootstrap(t *testing.T) {
	s := Start(t)
	for name, c := range map[string]Client{
		"plain":       {},
		"trusted":     {Trusted: true},
		"roots":       {Roots: "roots.pem"},
		"mutual":      {Roots: "roots.pem", Certificate: "cert.pem", Key: "key.pem"},
		"fallback":    {Fallback: Start(t)},
		"authorities": {Authorities: map[string]*Server{"other": Start(t)}},
	} {
		file := s.Bootstrap(c)
		if _, err := xds.NewXDSResolverWithConfigForTesting(file); err != nil {
			t.Errorf("%s: %v\n%s", name, err, file)
		}
	}
}
