package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// wholeDocument holds every row there is, none with a test.
func wholeDocument() string {
	var b strings.Builder
	b.WriteString("Words before.\n\n| # | grpc-go | weir | differs | Tests |\n|---|---|---|---|---|\n")
	for _, series := range []byte(allSeries) {
		for n := 1; n <= lastNumber[series]; n++ {
			fmt.Fprintf(&b, "| %c%d | name | file | why | — |\n", series, n)
		}
	}
	return b.String()
}

func TestFillDocument(t *testing.T) {
	all := []line{
		{row: row{'A', 41}, claim: claim{dir: "flow", test: "TestA"}},
		{row: row{'A', 41}, claim: claim{dir: "flow", test: "TestA"}}, // two claims of one test
		{row: row{'A', 41}, claim: claim{dir: "flow", test: "TestB"}},
		{row: row{'A', 41}, claim: claim{dir: "transport", test: "TestC"}},
	}
	before := wholeDocument()
	got, err := fillDocument([]byte(before), all)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(before, "| A41 | name | file | why | — |",
		"| A41 | name | file | why | `flow` TestA, TestB; `transport` TestC |", 1)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	again, err := fillDocument(got, all)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("filling twice changes the document: %v", err)
	}
	if err := checkDocument(got, all); err != nil {
		t.Errorf("the filled document is refused: %v", err)
	}
	if err := checkDocument([]byte(before), all); err == nil {
		t.Error("a document without the tests is accepted")
	}
	// A test that went away must go from the document as well.
	cleared, err := fillDocument(got, nil)
	if err != nil || string(cleared) != before {
		t.Errorf("a claim that went away stays in the document: %v", err)
	}
}

func TestDocumentHasEachRowOnce(t *testing.T) {
	whole := wholeDocument()
	for name, document := range map[string]string{
		"A5 stands twice": whole + "| A5 | name | file | why | — |\n",
		"no row B7":       strings.Replace(whole, "| B7 |", "| 7 |", 1),
		"goes from 1":     whole + "| A117 | name | file | why | — |\n",
	} {
		if _, err := fillDocument([]byte(document), nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

func TestCommittedDocumentHasEachRowOnce(t *testing.T) {
	document, err := os.ReadFile("../../docs/from-grpc-go.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fillDocument(document, nil); err != nil {
		t.Error(err)
	}
}
