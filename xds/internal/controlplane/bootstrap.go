package controlplane

import "encoding/json"

// A Client is what else stands in the file of a client. The zero value is a client
// of the control plane alone.
type Client struct {
	// Trusted lets the control plane choose what calls send as :authority.
	Trusted bool

	// Fallback is asked while the control plane cannot be reached (gRFC A71).
	Fallback *Server

	// Authorities have the listeners of targets xds://name/...: those are called
	// AuthorityListener(name, ...) there (gRFC A47).
	Authorities map[string]*Server

	// Roots, Certificate and Key are files in PEM for clusters with TLS. Without a
	// certificate the client has none to send.
	Roots, Certificate, Key string
}

// AuthorityListener is the name of a listener of an authority.
func AuthorityListener(authority, name string) string {
	return "xdstp://" + authority + "/envoy.config.listener.v3.Listener/" + name
}

// Bootstrap is the file of a client of this control plane, for
// GRPC_XDS_BOOTSTRAP_CONFIG. Each client of a process may have its own with
// xds.NewXDSResolverWithConfigForTesting: nothing of the environment is touched.
func (s *Server) Bootstrap(c Client) []byte {
	servers := []object{s.described(c.Trusted)}
	if c.Fallback != nil {
		servers = append(servers, c.Fallback.described(c.Trusted))
	}
	file := object{"xds_servers": servers, "node": object{"id": s.t.Name()}}
	authorities := make(object)
	for name, of := range c.Authorities {
		authorities[name] = object{
			"xds_servers":                            []object{of.described(c.Trusted)},
			"client_listener_resource_name_template": AuthorityListener(name, "%s"),
		}
	}
	file["authorities"] = authorities
	if c.Roots != "" {
		files := object{"ca_certificate_file": c.Roots}
		if c.Certificate != "" {
			files["certificate_file"], files["private_key_file"] = c.Certificate, c.Key
		}
		file["certificate_providers"] = object{certificates: object{"plugin_name": "file_watcher", "config": files}}
	}
	js, err := json.Marshal(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

type object = map[string]any

func (s *Server) described(trusted bool) object {
	server := object{
		"server_uri":    "passthrough:///" + s.addr,
		"channel_creds": []object{{"type": "insecure"}},
	}
	if trusted {
		server["server_features"] = []string{"trusted_xds_server"}
	}
	return server
}
