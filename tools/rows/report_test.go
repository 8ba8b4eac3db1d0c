package main

import (
	"strings"
	"testing"
)

func TestTableIsSortedByRow(t *testing.T) {
	claims := []claim{
		{rows: []row{{'B', 1}, {'A', 10}}, test: "TestTen", dir: "z", sentence: "ten."},
		{rows: []row{{'A', 2}}, test: "TestTwo", dir: "y", sentence: "two."},
		{rows: []row{{'A', 10}}, test: "TestAlso", dir: "a", sentence: "also."},
	}
	results := map[testID]outcome{
		{"z", "TestTen"}: outcomePass, {"y", "TestTwo"}: outcomeFail, {"a", "TestAlso"}: outcomeSkip,
	}
	var b strings.Builder
	if err := table(&b, lines(claims, results)); err != nil {
		t.Fatal(err)
	}
	const want = "A2   fail  y  TestTwo   two.\n" +
		"A10  skip  a  TestAlso  also.\n" +
		"A10  pass  z  TestTen   ten.\n" +
		"B1   pass  z  TestTen   ten.\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestRowListFoldsRuns(t *testing.T) {
	rows := []row{{'A', 1}, {'A', 2}, {'A', 3}, {'A', 5}, {'A', 116}, {'B', 1}, {'B', 2}}
	if got := rowList(rows); got != "A1-A3 A5 A116 B1-B2" {
		t.Errorf("got %q", got)
	}
	if got := rowList(nil); got != "" {
		t.Errorf("got %q for no rows", got)
	}
}
