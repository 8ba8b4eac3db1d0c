package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/interop/internal/cases"
)

// fake gives an implementation whose programs are those of TestMain.
func fake(name, failing, manner string) *implementation {
	return &implementation{name: name, client: []string{os.Args[0], "client", failing}, server: []string{os.Args[0], "server", manner}}
}

var tests = []cases.Case{
	{Name: "plain"},
	{Name: "zipped", Own: true, Gzip: true},
	{Name: "parallel", Own: true},
}

func TestRunPlan(t *testing.T) {
	defective := []cases.Case{{Name: "plain"}, {Name: "zipped", Own: true, Gzip: true, Defect: "weir forgets"}}
	for _, tt := range []struct {
		name         string
		weir, grpcGo *implementation
		tests        []cases.Case
		err          string
		out          []string // are parts of it
	}{
		{
			"all is well", fake("weir", "", ""), fake("grpc-go", "", ""), tests, "",
			[]string{
				"client                       weir      weir      weir      weir      grpc-go   grpc-go\n" +
					"server                       weir      weir      grpc-go   grpc-go   weir      weir\n" +
					"case                         h2c       TLS       h2c       TLS       h2c       TLS\n" +
					"plain                        ok        ok        ok        ok        ok        ok\n" +
					"zipped                       ok        ok        -         -         -         -\n" +
					"parallel                     ok        ok        ok        ok        -         -\n" +
					"\n12 passed, 0 failed, 0 with a known defect, 6 that a program of grpc-go does not have (-)\n",
			},
		},
		{
			"weir's client fails", fake("weir", "plain", ""), fake("grpc-go", "", ""), tests, "4 failed",
			[]string{
				"plain                        FAILED    FAILED    FAILED    FAILED    ok        ok\n",
				"\nFAILED plain: weir client, grpc-go server, h2c: exit status 1\n    -server_host=127.0.0.1 ",
				"\n    got 1, want 2\n",
				"\n    the server:\n        fake server listening on 127.0.0.1:",
				"8 passed, 4 failed",
			},
		},
		{
			"a server ends with a failure", fake("weir", "", "sick"), fake("grpc-go", "", ""), tests[:1], "4 failed",
			[]string{
				"plain                        ok        ok        ok        ok        ok        ok\n",
				"FAILED end of the server: grpc-go client, weir server, TLS: exit status 66\n",
				"WARNING: DATA RACE",
			},
		},
		{"which is its affair if it is not weir's", fake("weir", "", ""), fake("grpc-go", "", "sick"), tests[:1], "", nil},
		{
			"a known defect", fake("weir", "zipped", ""), fake("grpc-go", "", ""), defective, "",
			[]string{
				"zipped                       defect    defect    -         -         -         -\n",
				"6 passed, 0 failed, 2 with a known defect, 4 that",
				"\ndefect: zipped: weir client, weir server, TLS: weir forgets\n",
			},
		},
		{
			"a defect that is no more", fake("weir", "", ""), fake("grpc-go", "", ""), defective, "2 failed",
			[]string{"FAILED zipped: weir client, weir server, h2c\n    it passes although a defect is noted in interop/internal/cases: take out the note\n"},
		},
		{"no server", fake("weir", "", ""), fake("grpc-go", "", "broken"), tests, "weir client, grpc-go server, h2c: the server ended before it listened (exit status 1):\nno certificate", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := runPlan(t.Context(), &out, plan(tt.weir, tt.grpcGo), tt.tests)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			for _, want := range tt.out {
				if !strings.Contains(out.String(), want) {
					t.Errorf("not in the output: %q", want)
				}
			}
			if t.Failed() {
				t.Logf("%s", &out)
			}
		})
	}
}

func TestClientArgs(t *testing.T) {
	weir, grpcGo := fake("weir", "", ""), fake("grpc-go", "", "")
	columns := plan(weir, grpcGo)
	for _, tt := range []struct {
		name   string
		column column
		test   string
		want   string
	}{
		{"plain", columns[0], "empty_unary", "-server_host=127.0.0.1 -server_port=77 -test_case=empty_unary"},
		{"TLS", columns[1], "empty_unary", "-server_host=127.0.0.1 -server_port=77 -test_case=empty_unary -use_tls -use_test_ca -server_host_override=foo.test.google.fr"},
		{"soak", columns[4], "rpc_soak", "-server_host=127.0.0.1 -server_port=77 -test_case=rpc_soak -soak_iterations=100 -soak_num_threads=2 " +
			"-soak_per_iteration_max_acceptable_latency_ms=10000 -soak_overall_timeout_seconds=30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(tt.column.clientArgs(cases.Case{Name: tt.test}, "77"), " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := runPlan(ctx, &out, plan(fake("weir", "", ""), fake("grpc-go", "", "")), tests); err == nil {
		t.Error("no error")
	}
}
