package serviceconfig

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestChooser(t *testing.T) {
	const conf = `"serviceConfig": {"a": 1}`
	for _, tt := range []struct {
		name    string
		records []string
		want    string
		fault   string
	}{
		{name: "no record"},
		{name: "other records", records: []string{"v=spf1 -all", "grpc_conf=[]"}},
		{name: "one for all", records: []string{`grpc_config=[{` + conf + `}]`}, want: `{"a": 1}`},
		{name: "beside others", records: []string{"v=spf1", `grpc_config=[{` + conf + `}]`, "x"}, want: `{"a": 1}`},
		{name: "no choice", records: []string{`grpc_config=[]`}},
		{name: "null", records: []string{`grpc_config=null`}},
		{name: "the first that fits", records: []string{`grpc_config=[{"clientLanguage": ["java"], ` + conf + `}, {"serviceConfig": {}}, {` + conf + `}]`}, want: `{}`},
		{name: "the language in another case", records: []string{`grpc_config=[{"clientLanguage": ["c++", "GO"], ` + conf + `}]`}, want: `{"a": 1}`},
		{name: "empty criteria", records: []string{`grpc_config=[{"clientLanguage": [], "clientHostname": [], "percentage": 100, ` + conf + `}]`}, want: `{"a": 1}`},
		{name: "the host", records: []string{`grpc_config=[{"clientHostname": ["other", "here"], ` + conf + `}]`}, want: `{"a": 1}`},
		{name: "another host", records: []string{`grpc_config=[{"clientHostname": ["HERE"], ` + conf + `}]`}},
		{name: "all of them", records: []string{`grpc_config=[{"clientHostname": ["here"], "clientLanguage": ["java"], ` + conf + `}]`}},
		{name: "the names that grpc-go writes", records: []string{`grpc_config=[{"clientHostName": ["here"], ` + conf + `}]`}, want: `{"a": 1}`},
		{name: "drawn", records: []string{`grpc_config=[{"percentage": 51, ` + conf + `}]`}, want: `{"a": 1}`},
		{name: "not drawn", records: []string{`grpc_config=[{"percentage": 50, ` + conf + `}]`}},
		{name: "nobody", records: []string{`grpc_config=[{"percentage": 0, ` + conf + `}]`}},

		{name: "two records", records: []string{`grpc_config=[]`, `grpc_config=[]`}, fault: "several"},
		{name: "cut off", records: []string{`grpc_config=[{"serv`}, fault: `no JSON, or no more whole: "[{\"serv"`},
		{name: "no list", records: []string{`grpc_config={}`}, fault: "no JSON list"},
		{name: "no object", records: []string{`grpc_config=[1]`}, fault: "[0]: a JSON number where an object is read"},
		{name: "no config", records: []string{`grpc_config=[{}]`}, fault: "[0].serviceConfig: it is required"},
		{name: "a config of another kind", records: []string{`grpc_config=[{"serviceConfig": []}]`}, fault: "[0].serviceConfig: it is required, and an object"},
		{name: "an unknown field", records: []string{`grpc_config=[{` + conf + `}, {"zone": 1, ` + conf + `}]`}, fault: "[1].zone: a choice has no such field"},
		{name: "a percentage of more", records: []string{`grpc_config=[{"percentage": 101, ` + conf + `}]`}, fault: "[0].percentage: 101"},
		{name: "a percentage that is a string", records: []string{`grpc_config=[{"percentage": "5", ` + conf + `}]`}, fault: "[0].percentage: a JSON string where a whole number is read"},
		{name: "a language alone", records: []string{`grpc_config=[{"clientLanguage": "go", ` + conf + `}]`}, fault: "[0].clientLanguage: a JSON string where an array is read"},
		{name: "a host that is none", records: []string{`grpc_config=[{"clientHostname": [1], ` + conf + `}]`}, fault: "[0].clientHostname: a JSON number"},
		{name: "twice", records: []string{`grpc_config=[{` + conf + `, ` + conf + `}]`}, fault: "[0].serviceConfig: it is there twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Chooser
			got, err := c.Choose(tt.records, "here", func() float64 { return 0.5 })
			if tt.fault == "" && (err != nil || got != tt.want) {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
			if tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("%q, %v, want an error with %q", got, err, tt.fault)
			}
		})
	}
}

// A client stays with its choice while the records are the same, and each choice
// is drawn for on its own.
func TestChooser_DrawsOnce(t *testing.T) {
	draws := []float64{0.9, 0.1}
	draw := func() float64 {
		d := draws[0]
		draws = draws[1:]
		return d
	}
	var c Chooser
	for range 3 {
		js, err := c.Choose([]string{`grpc_config=[{"percentage": 50, "serviceConfig": {"a": 1}}, {"percentage": 50, "serviceConfig": {"b": 1}}]`}, "", draw)
		if err != nil || js != `{"b": 1}` {
			t.Fatalf("%q, %v", js, err)
		}
	}
	if js, err := c.Choose([]string{`grpc_config=[{"percentage": 95, "serviceConfig": {"a": 1}}]`}, "", draw); err != nil || js != `{"a": 1}` {
		t.Errorf("a larger percentage: %q, %v", js, err)
	}
}

func FuzzChooser(f *testing.F) {
	f.Add(`[{"clientLanguage": ["go"], "percentage": 50, "clientHostname": ["here"], "serviceConfig": {"loadBalancingPolicy": "round_robin"}}]`)
	f.Add(`[{"percentage": 0, "serviceConfig": {}}, {"serviceConfig": {"a": [1]}}]`)
	f.Add(`[null]`)
	f.Add(`[{"serviceConfig": {`)
	f.Fuzz(func(t *testing.T, choices string) {
		var c Chooser
		draw := func() float64 { return 0.5 }
		js, err := c.Choose([]string{"grpc_config=" + choices}, "here", draw)
		if err != nil && js != "" {
			t.Errorf("%q beside the error %v", js, err)
		}
		if js != "" && (!json.Valid([]byte(js)) || js[0] != '{') {
			t.Errorf("%q is no object", js)
		}
		if again, _ := c.Choose([]string{"other", "grpc_config=" + choices}, "here", draw); again != js {
			t.Errorf("%q, and %q the second time", js, again)
		}
	})
}
