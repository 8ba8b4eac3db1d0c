package metrics

import (
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// docs/observe.md names each metric, and no others.
func TestDocs_NameEachMetric(t *testing.T) {
	text, err := os.ReadFile("../docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, m := range regexp.MustCompile("\\| `(weir_[a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		told[string(m[1])] = true
	}
	descs := make(chan *prometheus.Desc, 100)
	NewFlowControlMonitor(Options{}).Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	for d := range descs {
		n := name.FindStringSubmatch(d.String())[1]
		if !told[n] {
			t.Errorf("docs/observe.md does not tell of %s", n)
		}
		delete(told, n)
	}
	for n := range told {
		t.Errorf("docs/observe.md tells of %s, which there is not", n)
	}
}
