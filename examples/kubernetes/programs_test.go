//go:build linux

package kubernetes

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// build gives a directory with both programs.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"server", "client"} {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, name), "./"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// Feature: rolling update of a headless Service
//
// The programs as Kubernetes runs them: by their environment alone, and replaced
// under load.
func TestPrograms(t *testing.T) {
	programs := build(t)
	t.Run("environment", func(t *testing.T) { environment(t, programs) })
	t.Run("rolling update", func(t *testing.T) { rollingUpdate(t, programs) })
}

// Each program reads all that its Deployment says, and nothing else: it refuses to
// start when something is missing.
func environment(t *testing.T, programs string) {
	for name, optional := range map[string][]string{
		"server": {"POD_NAME", "MAX_CONNECTION_AGE"},
		"client": nil,
	} {
		var service corev1.Service
		var budget policyv1.PodDisruptionBudget
		var d appsv1.Deployment
		if name == "server" {
			documents(t, "server.yaml", &service, &budget, &d)
		} else {
			documents(t, "client.yaml", &d)
		}
		_, env := container(t, &d)
		for missing := range env {
			if slices.Contains(optional, missing) {
				continue
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs, name))
			for key, value := range env {
				if key != missing {
					cmd.Env = append(cmd.Env, key+"="+value)
				}
			}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), missing+": expected") {
				t.Errorf("%s without %s: %v, %s", name, missing, err, out)
			}
		}
	}
}
