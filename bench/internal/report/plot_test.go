package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"

	"github.com/weir-rpc/weir/bench/internal/peers"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func plotted() []*Cell {
	first, second := scenario.Scenario{Name: "first"}, scenario.Scenario{Name: "second", Shape: scenario.IdleConns}
	return []*Cell{
		{Scenario: first, Peer: "weir", Ratios: &Ratios{CPU: 4}},
		{Scenario: first, Peer: peers.Baseline, Ratios: &Ratios{CPU: 1}},
		{Scenario: first, Peer: "connect-go", LeftOut: "not built yet"},
		{Scenario: scenario.Scenario{Name: "without ratios"}, Peer: "weir"},
		{Scenario: second, Peer: "weir", Ratios: &Ratios{RSS: 2}},
		{Scenario: second, Peer: "connect-go", Ratios: &Ratios{RSS: 0.5}},
		{Scenario: second, Peer: "raw", Ratios: &Ratios{RSS: -3}},
	}
}

func TestPlace(t *testing.T) {
	rows, points := place(plotted())
	if want := []string{"first", "second"}; !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	want := []*series{
		{"weir", plotter.XYs{{X: 4, Y: 1}, {X: 2, Y: 0}}},
		{"connect-go", plotter.XYs{{X: 0.5, Y: 0}}},
	}
	if !reflect.DeepEqual(points, want) {
		t.Errorf("points %+v, want %+v", points, want)
	}
}

func TestWritePlot(t *testing.T) {
	name := filepath.Join(t.TempDir(), "plot.svg")
	if err := WritePlot(name, plotted()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var words strings.Builder
	decoder := xml.NewDecoder(f)
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			words.Write(text)
		}
	}
	for _, want := range []string{"first", "second", "weir", "connect-go", peers.Baseline, "better"} {
		if !strings.Contains(words.String(), want) {
			t.Errorf("%q is not in the plot: %q", want, &words)
		}
	}
	if err := WritePlot(name, []*Cell{{Peer: "weir"}}); !errors.Is(err, ErrNothingToPlot) {
		t.Errorf("without ratios: error %v, want %v", err, ErrNothingToPlot)
	}
}

func TestRatioTicks(t *testing.T) {
	var labels []string
	for _, tick := range ratioTicks(0.4, 21) {
		labels = append(labels, tick.Label)
	}
	if want := []string{"0.5", "1", "2", "5", "10", "20"}; !reflect.DeepEqual(labels, want) {
		t.Errorf("ticks %q, want %q", labels, want)
	}
}
