package screen

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMatrix(t *testing.T) {
	var out bytes.Buffer
	m := New(&out, nil).NewMatrix(Column{"weir", "weir"}, Column{"grpc-go", "weir"}, Column{"weir", "grpc-go"})
	m.Row("unary", "each field of the reply")
	m.Cell(true, 412*time.Microsecond)
	m.Cell(true, 12*time.Millisecond)
	m.Cell(false, time.Second)
	m.Row("cancel", "the handler's context ends")
	m.Cell(true, 3*time.Second)
	m.Break()
	want := strings.Join([]string{
		"                                            client      weir   grpc-go      weir",
		"call                                        server      weir      weir   grpc-go",
		"unary            each field of the reply           ✓ 0.41 ms   ✓ 12 ms  ✗ failed",
		"cancel           the handler's context ends          ✓ 3.0 s",
		"",
	}, "\n")
	if got := out.String(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0.00 ms",
		4 * time.Microsecond:    "0.00 ms",
		994 * time.Microsecond:  "0.99 ms",
		996 * time.Microsecond:  "1.0 ms",
		9949 * time.Microsecond: "9.9 ms",
		9960 * time.Microsecond: "10 ms",
		999 * time.Millisecond:  "999 ms",
		1200 * time.Millisecond: "1.2 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 65536: "65,536", 1234567: "1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%v) = %q, want %q", n, got, want)
		}
	}
}

func TestComparison(t *testing.T) {
	var out bytes.Buffer
	New(&out, nil).Comparison("load", "weir", "grpc-go", []Figure{
		{"calls/s", "250,000", "20,000", 0.08},
		{"CPU per call", "5.0 µs", "75.0 µs", 15},
		{"p50", "1 ms", "1 ms", 1.01},
		{"p99", "0 ms", "1 ms", 0},
	}, "note")
	want := strings.Join([]string{
		"load",
		"",
		"                             weir         grpc-go       weir has",
		"calls/s                   250,000          20,000     12.5× more",
		"CPU per call               5.0 µs         75.0 µs     15.0× less",
		"p50                          1 ms            1 ms       the same",
		"p99                          0 ms            1 ms              ?",
		"note",
		"",
		"",
	}, "\n")
	if got := out.String(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestProblem(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, nil)
	s.Problem("gzip, weir → grpc-go", "the request", "at most 65536 octets", "1048576")
	s.Problem("load", "", "", "no answer")
	want := "✗ gzip, weir → grpc-go\n  of       the request\n  expected at most 65536 octets\n  came     1048576\n\n" +
		"✗ load\n  came     no answer\n\n"
	if got := out.String(); got != want {
		t.Errorf("the problems are\n%s\nwant\n%s", got, want)
	}
}

func TestProgressIsSilentOffTheTerminal(t *testing.T) {
	var out bytes.Buffer
	p := New(&out, nil).NewProgress()
	p.Step(0, 2, "first")
	p.Step(1, 2, "second")
	p.End()
	if out.Len() != 0 {
		t.Errorf("there is %q in what is no terminal", out.String())
	}
}
