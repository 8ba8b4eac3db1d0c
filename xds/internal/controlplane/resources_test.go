package controlplane

import (
	"strings"
	"testing"
)

// An address that gRPC would refuse is refused here, with the cluster's name.
func TestSnapshot_Addresses(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:50051": true,
		"[::1]:50051":     true,
		"localhost:50051": false,
		"127.0.0.1":       false,
	} {
		c := Config{Clusters: []Cluster{{Name: "one", Localities: At(addr)}}}
		_, err := c.snapshot("1")
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "one") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
