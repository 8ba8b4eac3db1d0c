package peers

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func TestSelect(t *testing.T) {
	for _, tt := range []struct {
		list  string
		names []string
		err   string
	}{
		{"weir", []string{"weir"}, ""},
		{"grpc-go,weir", []string{"weir", "grpc-go"}, ""},
		{"weir,weir", []string{"weir"}, ""},
		{"weir,h3,h4", nil, `came ["h3" "h4"]`},
		{"weir,", nil, `came [""]`},
	} {
		t.Run(tt.list, func(t *testing.T) {
			some, err := Select(tt.list)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range some {
				names = append(names, p.Name)
			}
			if !slices.Equal(names, tt.names) {
				t.Errorf("%q, want %q", names, tt.names)
			}
		})
	}
	all, usual := All()
	if some, err := Select(""); err != nil || len(some) != usual || usual > len(all) {
		t.Errorf("an empty list selects %d of %d peers, %v; want %d", len(some), len(all), err, usual)
	}
}

func TestNamed(t *testing.T) {
	for _, name := range []string{"", "weir,grpc-go", "h3"} {
		if p, err := Named(name); err == nil {
			t.Errorf("%q is the name of %s", name, p.Name)
		}
	}
	all, _ := All()
	for _, p := range all {
		if got, err := Named(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("%q is the name of %q, %v", p.Name, got.Name, err)
		}
	}
}

func TestMeasures(t *testing.T) {
	all, _ := All()
	for _, p := range all {
		mixed := p.Client.Name != p.Server.Name
		more := p.Name == "weir+connections"
		if got := p.Measures(scenario.Scenario{}); got == (mixed || more) {
			t.Errorf("%s is in the table of any scenario: %t", p.Name, got)
		}
		if got := p.Measures(scenario.Scenario{Slots: 100}); got == mixed {
			t.Errorf("%s is in the table of a scenario with few slots: %t", p.Name, got)
		}
		if p.Measures(scenario.Scenario{Mixed: true}) == more {
			t.Errorf("%s is in the table of a mixed scenario: %t", p.Name, more)
		}
	}
}
