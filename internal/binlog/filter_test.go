package binlog

import (
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	type want struct {
		path string
		l    limits
		ok   bool
	}
	all := limits{unlimited, unlimited}
	tests := []struct {
		filter string
		wants  []want
	}{
		{"*", []want{{"/a.B/C", all, true}, {"a.B/C", all, true}, {"nothing", limits{}, false}}},
		{"*{h}", []want{{"/a.B/C", limits{unlimited, 0}, true}}},
		{"*{h:7}", []want{{"/a.B/C", limits{7, 0}, true}}},
		{"*{m}", []want{{"/a.B/C", limits{0, unlimited}, true}}},
		{"*{m:256}", []want{{"/a.B/C", limits{0, 256}, true}}},
		{"*{h;m}", []want{{"/a.B/C", all, true}}},
		{"*{h:1;m:2}", []want{{"/a.B/C", limits{1, 2}, true}}},
		{"*{h;m:2}", []want{{"/a.B/C", limits{unlimited, 2}, true}}},
		{"*{h:1;m}", []want{{"/a.B/C", limits{1, unlimited}, true}}},
		{"a.B/*", []want{{"/a.B/C", all, true}, {"/a.BB/C", limits{}, false}, {"/a/B/C", limits{}, false}}},
		{"a/B/*", []want{{"/a/B/C", all, true}}},
		{"a.B/C", []want{{"/a.B/C", all, true}, {"/a.B/D", limits{}, false}}},
		{"a.B/*,-a.B/C", []want{{"/a.B/C", limits{}, false}, {"/a.B/D", all, true}}},
		{"-a.B/C,*", []want{{"/a.B/C", limits{}, false}, {"/a.B/D", all, true}}},
		{"*{h},a.B/*{m},a.B/C{h:1}", []want{
			{"/a.B/C", limits{1, 0}, true}, {"/a.B/D", limits{0, unlimited}, true}, {"/a.D/C", limits{unlimited, 0}, true},
		}},
		{"_a9.B/_c", []want{{"/_a9.B/_c", all, true}}},
	}
	for _, tt := range tests {
		f, err := parse(tt.filter)
		if err != nil {
			t.Errorf("%q: %v", tt.filter, err)
			continue
		}
		for _, w := range tt.wants {
			if l, ok := f.of(w.path); l != w.l || ok != w.ok {
				t.Errorf("%q: %s is logged within %v, %v, want %v, %v", tt.filter, w.path, l, ok, w.l, w.ok)
			}
		}
	}
}

// An error says which rule is wrong, and what rules are like.
func TestFilter_Wrong(t *testing.T) {
	for filter, want := range map[string]error{
		"*,":                        errForm,
		"a.B":                       errForm,
		"/C":                        errForm,
		"a.B/":                      errForm,
		"a.B/C-D":                   errForm,
		"a b/C":                     errForm,
		"a.B/C/*x":                  errForm,
		"*x":                        errForm,
		"-*":                        errForm,
		"**":                        errForm,
		"*,*{h}":                    errTwice,
		"a/*,a/*{h}":                errTwice,
		"a/B,a/B":                   errTwice,
		"a/B,-a/B":                  errTwice,
		"-a/B,a/B":                  errTwice,
		"-a/*":                      errExcluded,
		"-a/B{h}":                   errExcluded,
		"*{":                        errLimits,
		"*{}":                       errLimits,
		"*{h":                       errLimits,
		"*{x}":                      errLimits,
		"*{h:}":                     errLimits,
		"*{h:-1}":                   errLimits,
		"*{m:1;h:1}":                errLimits,
		"*{h;}":                     errLimits,
		"*{;m}":                     errLimits,
		"*{h:1;m:2;m}":              errLimits,
		"a/B{h:1,m:1}":              errLimits,
		"*{h:99999999999999999999}": errLimits,
	} {
		if _, err := parse(filter); err == nil || !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%q: %v, want %v", filter, err, want)
		}
	}
}

// What is parsed gives limits for any path without failing, and what is not
// parsed says why.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"*", "*{h:1;m:2}", "a.B/*,-a.B/C", "a/B{m}", "{", "-"} {
		f.Add(s, "/a.B/C")
	}
	f.Fuzz(func(t *testing.T, filter, path string) {
		parsed, err := parse(filter)
		if err != nil {
			if !strings.Contains(err.Error(), "rule") {
				t.Errorf("%q: %v", filter, err)
			}
			return
		}
		parsed.of(path)
	})
}
