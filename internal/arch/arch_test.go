package arch

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// root is where the root module is, seen from this package.
const root = "../.."

// A rule gives what breaks it, one sentence each.
type rule func(t *tree) (faults []string)

var rules = map[string]rule{
	"every package has a floor":             placed,
	"imports go down":                       downward,
	"each floor knows what it may":          allowed,
	"floor 0 is values":                     still,
	"nobody sleeps":                         awake,
	"grpc's client and server are replaced": replaced,
	"files are short":                       short,
	"tests leave nothing behind":            tight,
	"names say what a thing is":             named,
	"a MUST that is quoted is proven":       proven,
	"exemptions are needed":                 current,
}

// Row A1: the layers are floors: imports go down only, and no rule of them
// needs an exception.
func TestRules(t *testing.T) {
	tree, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 20 {
		t.Fatalf("%d Go files in all of the repository: the walk went wrong", len(tree.files))
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, fault := range rule(tree) {
				t.Error(fault)
			}
		})
	}
}

// bites fails t unless faults is one that says fault, or none if that is "".
func bites(t *testing.T, faults []string, fault string) {
	t.Helper()
	switch {
	case fault == "" && len(faults) > 0:
		t.Errorf("faults %q, want none", faults)
	case fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], fault)):
		t.Errorf("faults %q, want one that says %q", faults, fault)
	}
}

// TestRulesBite shows each rule something that breaks it, and something close
// that does not.
func TestRulesBite(t *testing.T) {
	const weir = `"` + module
	tests := []struct {
		rule, name string
		files      map[string]string
		fault      string
	}{
		{"every package has a floor", "unknown", map[string]string{"internal/new/new.go": "package new"}, "internal/new stands on no floor"},
		{"every package has a floor", "of another module", map[string]string{"cmd/weir/go.mod": "", "cmd/weir/x/x.go": "package x"}, ""},
		{"every package has a floor", "testdata", map[string]string{"transport/testdata/x.go": "package x", "_x/x.go": "package x"}, ""},

		{"imports go down", "down", map[string]string{"transport/t.go": "package t\nimport _ " + weir + `/internal/frame"`}, ""},
		{"imports go down", "up", map[string]string{"internal/sched/s.go": "package s\nimport _ " + weir + `/transport"`}, "floor 1 imports transport of floor 2"},
		{"imports go down", "level", map[string]string{"internal/flow/f.go": "package f\nimport _ " + weir + `/internal/frame"`}, "floor 0 imports internal/frame of floor 0"},
		{"imports go down", "up to the root", map[string]string{"transport/t.go": "package t\nimport _ " + weir + `"`}, "imports . of floor 4"},
		{"imports go down", "another platform's file", map[string]string{"internal/sched/s_plan9.go": "//go:build plan9\npackage s\nimport _ " + weir + `/transport"`}, "s_plan9.go of floor 1"},
		{"imports go down", "a test's package in code", map[string]string{"transport/t.go": "package t\nimport _ " + weir + `/internal/simnet"`}, "internal/simnet, which is for tests alone"},
		{"imports go down", "a test's package in a test", map[string]string{"transport/t_test.go": "package t\nimport _ " + weir + `/internal/simnet"`}, ""},
		{"imports go down", "leak watches buffers", map[string]string{"internal/leak/l.go": "package l\nimport _ " + weir + `/internal/buffer"`}, ""},
		{"imports go down", "leak watches too much", map[string]string{"internal/leak/l.go": "package l\nimport _ " + weir + `/transport"`}, "floors 0 and 1"},

		{"each floor knows what it may", "a lock on floor 0", map[string]string{"internal/flow/f.go": "package f\nimport _ \"sync\""}, "floor 0 is values"},
		{"each floor knows what it may", "a lock in its test", map[string]string{"internal/flow/f_test.go": "package f\nimport _ \"sync\""}, ""},
		{"each floor knows what it may", "a lock on floor 1", map[string]string{"internal/gate/g.go": "package g\nimport _ \"sync\""}, ""},
		{"each floor knows what it may", "a socket on floor 1", map[string]string{"internal/gate/g.go": "package g\nimport _ \"net\""}, "know no socket"},
		{"each floor knows what it may", "testing in code", map[string]string{"transport/t.go": "package t\nimport _ \"testing\""}, "for tests"},
		{"each floor knows what it may", "grpc on floor 3", map[string]string{"internal/channel/c.go": "package c\nimport _ \"google.golang.org/grpc\""}, "from the root package up"},
		{"each floor knows what it may", "grpc in the root", map[string]string{"c.go": "package weir\nimport _ \"google.golang.org/grpc\""}, ""},
		{"each floor knows what it may", "the peer on our codec", map[string]string{"internal/h2peer/p.go": "package p\nimport _ " + weir + `/internal/field"`}, "foreign codec"},

		{"floor 0 is values", "clock", map[string]string{"internal/flow/f.go": "package f\nimport \"time\"\nvar x = time.Now()"}, "f.go:3 reads a clock"},
		{"floor 0 is values", "clock by another name", map[string]string{"internal/flow/f.go": "package f\nimport t \"time\"\nvar x = t.Now"}, "f.go:3 reads a clock"},
		{"floor 0 is values", "durations", map[string]string{"internal/flow/f.go": "package f\nimport \"time\"\nvar x = time.Second"}, ""},
		{"floor 0 is values", "goroutine", map[string]string{"internal/flow/f.go": "package f\nfunc f() {\n\tgo f()\n}"}, "f.go:3 starts a goroutine"},
		{"floor 0 is values", "goroutine on floor 2", map[string]string{"transport/t.go": "package t\nfunc f() { go f() }"}, ""},

		{"nobody sleeps", "in a test", map[string]string{"transport/t_test.go": "package t\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, "t_test.go:3 sleeps"},
		{"nobody sleeps", "in another module", map[string]string{"bench/go.mod": "", "bench/b.go": "package b\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, "b.go:3 sleeps"},
		{"nobody sleeps", "but Advance", map[string]string{"internal/simnet/advance.go": "package simnet\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, ""},
		{"nobody sleeps", "a method of that name", map[string]string{"transport/t.go": "package t\nfunc f(x T) { x.Sleep(1) }"}, ""},

		{"grpc's client and server are replaced", "server", map[string]string{"s.go": "package weir\nimport \"google.golang.org/grpc\"\nvar s = grpc.NewServer()"}, "makes a grpc.Server"},
		{"grpc's client and server are replaced", "server in a test", map[string]string{"s_test.go": "package weir\nimport \"google.golang.org/grpc\"\nvar s = grpc.NewServer()"}, ""},
		{"grpc's client and server are replaced", "one bridge", map[string]string{"a.go": "package weir\nimport \"google.golang.org/grpc\"\nvar a, b = grpc.NewClient(\"\"), grpc.NewClient(\"\")"}, ""},
		{"grpc's client and server are replaced", "two bridges", map[string]string{
			"a.go": "package weir\nimport \"google.golang.org/grpc\"\nvar a = grpc.NewClient(\"\")",
			"b.go": "package weir\nimport \"google.golang.org/grpc\"\nvar b = grpc.Dial(\"\")",
		}, "b.go:3 makes a grpc.ClientConn, as does a.go"},

		{"files are short", "500 lines", map[string]string{"a.go": "package weir" + strings.Repeat("\n", 500)}, ""},
		{"files are short", "501 lines", map[string]string{"a.go": "package weir" + strings.Repeat("\n", 501)}, "a.go has 501 lines"},
		{"files are short", "generated", map[string]string{"a.pb.go": "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage weir" + strings.Repeat("\n", 501)}, ""},

		{"tests leave nothing behind", "no TestMain", map[string]string{"transport/t_test.go": "package t"}, "transport has tests and no leak.Main"},
		{"tests leave nothing behind", "no tests", map[string]string{"transport/t.go": "package t"}, ""},
		{"tests leave nothing behind", "leak.Main", map[string]string{"transport/t_test.go": "package t_test\nimport " + weir + "/internal/leak\"\nfunc TestMain(m *testing.M) { leak.Main(m) }"}, ""},
		{"tests leave nothing behind", "another TestMain", map[string]string{"transport/t_test.go": "package t\nimport " + weir + "/internal/leak\"\nfunc TestMain(m *testing.M) { leak.Check(m) }"}, "no leak.Main"},

		{"names say what a thing is", "file", map[string]string{"transport/conn_util.go": "package t"}, `named "util"`},
		{"names say what a thing is", "package", map[string]string{"internal/common/x.go": "package common"}, `named "common"`},
		{"names say what a thing is", "type", map[string]string{"transport/t.go": "package t\ntype streamManager struct{}"}, "type streamManager"},
		{"names say what a thing is", "part of a word", map[string]string{"transport/commonality.go": "package t\ntype utility struct{}"}, ""},

		{"a MUST that is quoted is proven", "no link in a test", map[string]string{
			"internal/gate/t.go":      "package t\n\n// \"It MUST be so.\"\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.9\nvar x int",
			"internal/gate/t_test.go": "package t\n\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1\nvar y int",
		}, "t.go:3 quotes a MUST of https://www.rfc-editor.org/rfc/rfc9113#section-6.9,"},
		{"a MUST that is quoted is proven", "linked by a test", map[string]string{
			"internal/gate/t.go":      "package t\n\n// \"It MUST be so\" (https://www.rfc-editor.org/rfc/rfc9113#section-6.9).\nvar x int",
			"internal/gate/t_test.go": "package t\n\n// TestX: https://www.rfc-editor.org/rfc/rfc9113#section-6.9.\nvar y int",
		}, ""},
		{"a MUST that is quoted is proven", "a link without a MUST", map[string]string{
			"internal/gate/t.go":      "package t\n\n// See https://www.rfc-editor.org/rfc/rfc9113#section-6.9\nvar x int",
			"internal/gate/t_test.go": "package t",
		}, ""},
		{"a MUST that is quoted is proven", "the same in two places", map[string]string{
			"internal/gate/t.go":      "package t\n\n// \"It MUST be so.\"\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.2\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.6\nvar x int",
			"internal/gate/t_test.go": "package t\n\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.2\nvar y int",
		}, ""},
		{"a MUST that is quoted is proven", "the second of two", map[string]string{
			"internal/gate/t.go":      "package t\n\n// \"It MUST be so.\"\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.2\n// \"It MUST.\"\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.6\nvar x int",
			"internal/gate/t_test.go": "package t\n\n// https://www.rfc-editor.org/rfc/rfc9113#section-6.2\nvar y int",
		}, "section-6.6,"},
		{"a MUST that is quoted is proven", "no tests yet", map[string]string{
			"internal/gate/t.go": "package t\n\n// \"It MUST be so.\" https://www.rfc-editor.org/rfc/rfc9113#section-6.9\nvar x int",
		}, ""},

		{"exemptions are needed", "a file that is gone", map[string]string{
			"transport/t.go": "package t",
		}, "internal/simnet/advance.go is exempt"},
	}
	bitten := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.rule+"/"+tt.name, func(t *testing.T) {
			fsys := make(fstest.MapFS)
			for name, text := range tt.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			tree, err := load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			bites(t, rules[tt.rule](tree), tt.fault)
		})
		bitten[tt.rule] = bitten[tt.rule] || tt.fault != ""
	}
	for name := range rules {
		if !bitten[name] {
			t.Errorf("nothing shows that the rule %q can fail", name)
		}
	}
}
