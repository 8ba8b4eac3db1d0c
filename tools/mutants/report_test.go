package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	red := result{mutant{name: "A1-red", rows: []string{"A1"}, what: "one", pkg: "./a", test: "TestA"}, verdictRed, "said of red", time.Second}
	green := result{mutant{name: "B2-green", rows: []string{"B2", "2c-3"}, what: "two", pkg: "./b", test: "TestB"}, verdictGreen, "said of green", 2 * time.Second}
	var b strings.Builder
	if !report(&b, []result{red}, false, time.Second) || strings.Contains(b.String(), "said of red") {
		t.Errorf("all red: %s", b.String())
	}
	b.Reset()
	if report(&b, []result{red, green}, false, 3*time.Second) {
		t.Error("not all are red")
	}
	const want = "== B2-green: GREEN\nsaid of green\n" +
		"A1       red    1.0s  ./a  TestA  one\n" +
		"B2 2c-3  GREEN  2.0s  ./b  TestB  two\n" +
		"mutants: 2 patches, 1 turn their test red, 1 do not (3s)\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
