package kubernetes

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// documents reads a manifest. Fields that Kubernetes does not know are errors.
func documents(t *testing.T, name string, into ...any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("manifests", name))
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Split(text, []byte("\n---\n"))
	if len(all) != len(into) {
		t.Fatalf("%s: %d documents, want %d", name, len(all), len(into))
	}
	for i, one := range all {
		if err := yaml.UnmarshalStrict(one, into[i]); err != nil {
			t.Fatalf("%s, document %d: %v", name, i, err)
		}
	}
}

// container gives the only one of a Deployment, and the values of its environment.
func container(t *testing.T, d *appsv1.Deployment) (corev1.Container, map[string]string) {
	t.Helper()
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("%s: %d containers, want 1", d.Name, n)
	}
	c := d.Spec.Template.Spec.Containers[0]
	env := make(map[string]string)
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return c, env
}

func duration(t *testing.T, env map[string]string, name string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(env[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// The manifests agree with each other, with the programs and with what Kubernetes
// does at the end of a pod.
func TestManifests(t *testing.T) {
	var (
		service corev1.Service
		budget  policyv1.PodDisruptionBudget
		server  appsv1.Deployment
		client  appsv1.Deployment
	)
	documents(t, "server.yaml", &service, &budget, &server)
	documents(t, "client.yaml", &client)
	c, env := container(t, &server)
	_, clientEnv := container(t, &client)

	_, port, err := net.SplitHostPort(env["LISTEN"])
	if err != nil {
		t.Fatal(err)
	}
	if service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the Service has the address %q: its name gives no pods", service.Spec.ClusterIP)
	}
	if len(service.Spec.Ports) != 1 || len(c.Ports) != 1 {
		t.Fatalf("%d ports of the Service, %d of the container, want one of each", len(service.Spec.Ports), len(c.Ports))
	}
	own := service.Spec.Ports[0]
	if got := text(own.Port); got != port || own.TargetPort.StrVal != c.Ports[0].Name || text(c.Ports[0].ContainerPort) != port {
		t.Errorf("LISTEN has port %s, the Service %s for %v, the container %v: a headless Service changes no port", port, got, own.TargetPort, c.Ports)
	}
	if want := "dns:///" + service.Name + "." + service.Namespace + ".svc.cluster.local:" + port; clientEnv["TARGET"] != want {
		t.Errorf("TARGET is %s, want %s", clientEnv["TARGET"], want)
	}

	label := server.Spec.Template.Labels["app"]
	for name, selector := range map[string]map[string]string{
		"Service": service.Spec.Selector, "PodDisruptionBudget": budget.Spec.Selector.MatchLabels, "Deployment": server.Spec.Selector.MatchLabels,
	} {
		if label == "" || len(selector) != 1 || selector["app"] != label {
			t.Errorf("the %s selects %v, and pods are app: %s", name, selector, label)
		}
	}

	for _, p := range []struct {
		name    string
		probe   *corev1.Probe
		service string
	}{{"startup", c.StartupProbe, "ready"}, {"readiness", c.ReadinessProbe, "ready"}, {"liveness", c.LivenessProbe, "alive"}} {
		switch {
		case p.probe == nil || p.probe.GRPC == nil || p.probe.GRPC.Service == nil:
			t.Errorf("the %s probe does not ask gRPC's health service of a service", p.name)
		case *p.probe.GRPC.Service != p.service || text(p.probe.GRPC.Port) != port:
			t.Errorf("the %s probe asks port %d of %q, want %s and %q", p.name, p.probe.GRPC.Port, *p.probe.GRPC.Service, port, p.service)
		}
	}

	// The kubelet kills what has not ended. NOTICE and GRACE are waited out in the
	// worst case; a second more is for the rest. A preStop hook would count too.
	patience := time.Duration(*server.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	if need := duration(t, env, "NOTICE") + duration(t, env, "GRACE") + time.Second; patience < need || c.Lifecycle != nil {
		t.Errorf("the pod has %v to end, and needs up to %v", patience, need)
	}
	if got, want := duration(t, env, "GRACE"), duration(t, clientEnv, "TIMEOUT"); got < want {
		t.Errorf("GRACE is %v: calls with a deadline of %v may be cut off", got, want)
	}
	// The server serves until readiness would have shown, whatever the cluster says.
	r := c.ReadinessProbe
	if need := time.Duration(r.PeriodSeconds*r.FailureThreshold) * time.Second; duration(t, env, "NOTICE") < need {
		t.Errorf("NOTICE is %v, and a probe needs %v to see that the server is not ready", duration(t, env, "NOTICE"), need)
	}
	// Clients have asked DNS, with a jitter of a fifth, before the server stops.
	if dns := duration(t, clientEnv, "DNS_INTERVAL"); duration(t, env, "NOTICE") < dns*6/5 {
		t.Errorf("NOTICE is %v, and clients ask DNS each %v", duration(t, env, "NOTICE"), dns)
	}
	if u := server.Spec.Strategy.RollingUpdate; u == nil || u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() < 1 {
		t.Errorf("the rolling update is %+v: pods go before others have come", u)
	}
	if n := *server.Spec.Replicas; n < 2 || budget.Spec.MaxUnavailable.IntValue() >= int(n) {
		t.Errorf("%d replicas, of which %v may be gone", n, budget.Spec.MaxUnavailable)
	}
}

func text(port int32) string { return strconv.Itoa(int(port)) }
