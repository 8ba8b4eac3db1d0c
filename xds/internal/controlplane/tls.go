package controlplane

import (
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherpb "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// certificates is the name of the one certificate provider of a bootstrap.
const certificates = "files"

func (s *TLS) socket() (*corepb.TransportSocket, error) {
	check := &tlspb.CertificateValidationContext{
		CaCertificateProviderInstance: &tlspb.CertificateProviderPluginInstance{InstanceName: certificates},
	}
	for _, name := range s.SANs {
		// The newer field, of names with their types, is not read by gRPC.
		//nolint:staticcheck // SA1019: what gRPC's clients read
		check.MatchSubjectAltNames = append(check.MatchSubjectAltNames, &matcherpb.StringMatcher{
			MatchPattern: &matcherpb.StringMatcher_Exact{Exact: name},
		})
	}
	common := &tlspb.CommonTlsContext{
		ValidationContextType: &tlspb.CommonTlsContext_ValidationContext{ValidationContext: check},
	}
	if s.Identity {
		common.TlsCertificateProviderInstance = &tlspb.CertificateProviderPluginInstance{InstanceName: certificates}
	}
	packed, err := anypb.New(&tlspb.UpstreamTlsContext{CommonTlsContext: common})
	if err != nil {
		return nil, err
	}
	return &corepb.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corepb.TransportSocket_TypedConfig{TypedConfig: packed},
	}, nil
}
