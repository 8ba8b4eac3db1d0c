package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/weir-rpc/weir/interop/internal/cases"
)

// An implementation is the interop programs of a gRPC library.
type implementation struct {
	name           string
	client, server []string // command lines, which the flags go behind
	stock          bool     // has only what grpc-go's programs have
	clean          bool     // the server ends with status 0 after SIGTERM
}

// A column is a client and a server over TCP or TLS.
type column struct {
	client, server *implementation
	tls            bool
}

// plan gives the columns of the matrix.
func plan(weir, grpcGo *implementation) []column {
	weir.clean, grpcGo.stock = true, true
	var columns []column
	for _, pair := range [][2]*implementation{{weir, weir}, {weir, grpcGo}, {grpcGo, weir}} {
		columns = append(columns, column{pair[0], pair[1], false}, column{pair[0], pair[1], true})
	}
	return columns
}

func (c column) security() string {
	if c.tls {
		return "TLS"
	}
	return "h2c"
}

func (c column) String() string {
	return fmt.Sprintf("%s client, %s server, %s", c.client.name, c.server.name, c.security())
}

// absent says whether one of the two programs does not have the case.
func (c column) absent(test cases.Case) bool {
	return c.client.stock && test.Own || c.server.stock && test.Gzip
}

// defective says whether the case is known to fail.
func (c column) defective(test cases.Case) bool {
	return test.Defect != "" && !c.server.stock
}

// serverArgs has the port 0: the server tells which it took.
func (c column) serverArgs() []string {
	return []string{"-port=0", "-use_tls=" + strconv.FormatBool(c.tls)}
}

func (c column) clientArgs(test cases.Case, port string) []string {
	args := []string{"-server_host=127.0.0.1", "-server_port=" + port, "-test_case=" + test.Name}
	if c.tls {
		args = append(args, "-use_tls", "-use_test_ca", "-server_host_override=foo.test.google.fr")
	}
	if strings.HasSuffix(test.Name, "_soak") {
		// It is for what goes wrong, not for the pace of a machine with other work.
		args = append(args, "-soak_iterations=100", "-soak_num_threads=2",
			"-soak_per_iteration_max_acceptable_latency_ms=10000", "-soak_overall_timeout_seconds=30")
	}
	return args
}

// A table is the results as they are printed.
type table struct {
	out     io.Writer
	columns []column
	faults  []string // whole paragraphs
	passed  int
	absent  int
	defects []string
}

const (
	nameWidth = 28
	cellWidth = 9
)

func (t *table) row(name string, cell func(column) string) {
	fmt.Fprintf(t.out, "%-*s", nameWidth, name)
	for i, c := range t.columns {
		width := cellWidth
		if i == len(t.columns)-1 {
			width = 0
		}
		fmt.Fprintf(t.out, " %-*s", width, cell(c))
	}
	fmt.Fprintln(t.out)
}

func (t *table) head() {
	t.row("client", func(c column) string { return c.client.name })
	t.row("server", func(c column) string { return c.server.name })
	t.row("case", column.security)
}

// fault notes what went wrong and gives the cell for it.
func (t *table) fault(what string, words string) string {
	if words == "" {
		words = "(it said nothing)"
	}
	t.faults = append(t.faults, "FAILED "+what+"\n"+indent(words))
	return "FAILED"
}

func indent(words string) string {
	return "    " + strings.ReplaceAll(words, "\n", "\n    ")
}

// end prints what stands below the table and gives the verdict.
func (t *table) end() error {
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d with a known defect, %d that a program of grpc-go does not have (-)\n",
		t.passed, len(t.faults), len(t.defects), t.absent)
	for _, d := range t.defects {
		fmt.Fprintf(t.out, "defect: %s\n", d)
	}
	for _, f := range t.faults {
		fmt.Fprintf(t.out, "\n%s\n", f)
	}
	if len(t.faults) > 0 {
		return fmt.Errorf("%d failed", len(t.faults))
	}
	return nil
}

// runPlan runs the cases in all columns and prints the table as it fills.
func runPlan(ctx context.Context, out io.Writer, columns []column, tests []cases.Case) error {
	servers := make(map[column]*server, len(columns))
	defer func() {
		for _, s := range servers {
			s.kill()
		}
	}()
	for _, c := range columns {
		s, err := start(ctx, c.server.server, c.serverArgs())
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		servers[c] = s
	}
	t := &table{out: out, columns: columns}
	t.head()
	for _, test := range tests {
		t.row(test.Name, func(c column) string { return t.cell(ctx, c, test, servers[c]) })
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	for _, c := range columns {
		if err := servers[c].stop(); err != nil && c.server.clean {
			t.fault(fmt.Sprintf("end of the server: %v: %v", c, err), servers[c].words())
		}
	}
	return t.end()
}

// cell runs a case in a column.
func (t *table) cell(ctx context.Context, c column, test cases.Case, s *server) string {
	if c.absent(test) {
		t.absent++
		return "-"
	}
	words, err := runClient(ctx, c.client.client, c.clientArgs(test, s.port))
	switch what := fmt.Sprintf("%s: %v", test.Name, c); {
	case err == nil && c.defective(test):
		return t.fault(what, "it passes although a defect is noted in interop/internal/cases: take out the note")
	case err == nil:
		t.passed++
		return "ok"
	case c.defective(test):
		t.defects = append(t.defects, what+": "+test.Defect)
		return "defect"
	default:
		if more := s.words(); more != "" {
			words += "\nthe server:\n" + indent(more)
		}
		return t.fault(fmt.Sprintf("%s: %v", what, err), words)
	}
}
