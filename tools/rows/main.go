// Rows runs the tests that prove rows of docs/from-grpc-go.md and prints what
// each of them said.
//
// A test claims rows in a line comment directly above it:
//
//	// Row A41: a peer that fills the window exactly is within its rights.
//	// Rows A46, A50: SETTINGS may make a send window negative.
//
// Exactly those tests run, one go test a package, in whichever module of the
// workspace they stand. The exit status is 1 when one of them does not pass,
// when a claim is malformed, and, with -strict, when a row of required.txt has
// neither a test nor a last cell in the document that begins with "no such
// part:" and says why, or when that column is not what the tests claim. With
// -write nothing runs: the column is written anew.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
)

//go:embed required.txt
var required []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:], required, os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "rows:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, required []byte, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("rows", flag.ContinueOnError)
	root := flags.String("root", ".", "directory of the checkout")
	strict := flags.Bool("strict", false, "fail when a required row has no test")
	race := flags.Bool("race", false, "run the tests with the race detector")
	write := flags.Bool("write", false, "write the tests' names into the document instead of running them")
	document := flags.String("document", "docs/from-grpc-go.md", "the document, relative to root; empty for none")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	req, err := parseRequired(bytes.NewReader(required))
	if err != nil {
		return 2, fmt.Errorf("required.txt: %w", err)
	}
	claims, problems, err := scan(os.DirFS(*root))
	if err != nil {
		return 2, err
	}
	if *write {
		if err := writeDocument(filepath.Join(*root, *document), lines(claims, nil)); err != nil {
			return 2, err
		}
		return 0, nil
	}
	r := runner{root: *root}
	if *race {
		r.flags = append(r.flags, "-race")
	}
	results, failures, err := r.run(ctx, claims)
	if err != nil {
		return 2, err
	}
	for _, failure := range failures {
		_, _ = fmt.Fprintf(out, "%s\n", failure)
	}
	all := lines(claims, results)
	if err := table(out, all); err != nil {
		return 2, err
	}
	var without map[row]bool
	if *document != "" {
		text, err := os.ReadFile(filepath.Join(*root, *document))
		without = withoutPart(text)
		if err == nil && *strict {
			err = checkDocument(text, all)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", *document, err))
		}
	}
	if sum(out, all, without, len(results), problems, failures, req, *strict) {
		return 0, nil
	}
	return 1, nil
}

func writeDocument(name string, all []line) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	filled, err := fillDocument(text, all)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, filled, 0o600) // the file is there: its mode stays
}

// sum prints what is wrong, then one line for all, and reports whether the
// rows are as they should be.
func sum(out io.Writer, all []line, without map[row]bool, tests int, problems, failures []string, req *requirement, strict bool) bool {
	claimed, settled := make(map[row]bool), maps.Clone(without)
	if settled == nil {
		settled = make(map[row]bool)
	}
	bad := 0
	for _, l := range all {
		claimed[l.row], settled[l.row] = true, true
		if l.outcome != outcomePass {
			bad++
		}
	}
	for _, problem := range problems {
		_, _ = fmt.Fprintln(out, problem)
	}
	missing, stale := req.check(settled)
	if len(missing) > 0 {
		_, _ = fmt.Fprintf(out, "required rows with neither a test nor a reason why there is no such part: %s\n", rowList(missing))
	}
	if len(stale) > 0 {
		_, _ = fmt.Fprintf(out, "rows that required.txt exempts although they are settled: %s\n", rowList(stale))
	}
	_, _ = fmt.Fprintf(out, "rows: %d claimed by %d tests, %d without a part in weir, %d not passed, %d packages failed, %d other faults; of %d required %d are missing\n",
		len(claimed), tests, len(without), bad, len(failures), len(problems), len(req.rows)-len(req.exempt), len(missing))
	return bad == 0 && len(problems) == 0 && len(failures) == 0 &&
		(!strict || len(missing) == 0 && len(stale) == 0)
}
