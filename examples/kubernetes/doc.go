// Package kubernetes is an example: a server and a client as they run under
// Kubernetes, with manifests. See its README.
package kubernetes
