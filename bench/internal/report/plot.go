package report

import (
	"errors"
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/weir-rpc/weir/bench/internal/peers"
)

// ErrNothingToPlot is for results without ratios.
var ErrNothingToPlot = errors.New("a plot shows ratios to grpc-go: expected that it was measured beside others")

// marks tell the peers apart, by colour (of Okabe and Ito) and by shape.
var marks = []draw.GlyphStyle{
	{Color: color.RGBA{R: 0, G: 114, B: 178, A: 255}, Shape: draw.CircleGlyph{}},
	{Color: color.RGBA{R: 230, G: 159, B: 0, A: 255}, Shape: draw.BoxGlyph{}},
	{Color: color.RGBA{R: 0, G: 158, B: 115, A: 255}, Shape: draw.PyramidGlyph{}},
	{Color: color.RGBA{R: 213, G: 94, B: 0, A: 255}, Shape: draw.CrossGlyph{}},
	{Color: color.RGBA{R: 86, G: 180, B: 233, A: 255}, Shape: draw.PlusGlyph{}},
	{Color: color.RGBA{R: 204, G: 121, B: 167, A: 255}, Shape: draw.RingGlyph{}},
	{Color: color.RGBA{R: 0, G: 0, B: 0, A: 255}, Shape: draw.SquareGlyph{}},
	{Color: color.RGBA{R: 150, G: 150, B: 0, A: 255}, Shape: draw.TriangleGlyph{}},
}

// WritePlot writes an SVG of how much less CPU, or memory where something is
// idle, each peer takes than grpc-go: a line for each scenario, the first on
// top, and a mark for each peer.
func WritePlot(name string, cells []*Cell) (err error) {
	p, rows, err := draft(cells)
	if err != nil {
		return err
	}
	canvas := vgsvg.New(width, height(rows))
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = canvas.WriteTo(f)
	return err
}

const (
	width  = 9 * vg.Inch
	margin = 0.1 * vg.Inch
)

// height leaves some rows for the legend.
func height(rows int) vg.Length { return vg.Length(rows+9) * 0.25 * vg.Inch }

func draft(cells []*Cell) (p *plot.Plot, rows int, err error) {
	p = plot.New()
	p.Title.Text = "Times less than grpc-go: CPU of both sides for a call, memory of both sides where idle"
	p.X.Label.Text = "more to the right is better; logarithmic"
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.TickerFunc(ratioTicks)
	p.Legend.Top = true

	names, points := place(cells)
	if len(points) == 0 {
		return nil, 0, ErrNothingToPlot
	}
	slices.Reverse(names) // places are counted from below
	p.NominalY(names...)
	p.Add(plotter.NewGrid())
	p.X.Min, p.X.Max = 0.5, 2
	for i, of := range points {
		scatter, err := plotter.NewScatter(of.at)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", of.peer, err)
		}
		scatter.GlyphStyle = marks[i%len(marks)]
		scatter.GlyphStyle.Radius = vg.Points(3.5)
		p.Add(scatter)
		p.Legend.Add(of.peer, scatter)
	}
	p.X.Min, p.X.Max = p.X.Min*0.8, p.X.Max*1.25
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(names)) - 0.5}})
	if err != nil {
		return nil, 0, err
	}
	one.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(one)
	p.Legend.Add(peers.Baseline, one)
	p.Y.Max = float64(len(names)) + 0.7*float64(len(points)) // the legend covers no mark
	return p, len(names), nil
}

// series are the ratios of one peer, with the places of their scenarios.
type series struct {
	peer string
	at   plotter.XYs
}

// place gives the scenarios that have ratios in their order, the first on the
// highest place, and the ratios of each peer but the baseline.
func place(cells []*Cell) (rows []string, points []*series) {
	for _, c := range cells {
		if c.Ratios != nil && c.Peer != peers.Baseline && !slices.Contains(rows, c.Scenario.Name) {
			rows = append(rows, c.Scenario.Name)
		}
	}
	byPeer := make(map[string]*series)
	for _, c := range cells {
		if c.Ratios == nil || c.Peer == peers.Baseline {
			continue
		}
		x := c.Ratios.CPU
		if c.Scenario.Idle() {
			x = c.Ratios.RSS
		}
		if x <= 0 { // memory that shrank has no place on the axis
			continue
		}
		of := byPeer[c.Peer]
		if of == nil {
			of = &series{peer: c.Peer}
			byPeer[c.Peer] = of
			points = append(points, of)
		}
		y := len(rows) - 1 - slices.Index(rows, c.Scenario.Name)
		of.at = append(of.at, plotter.XY{X: x, Y: float64(y)})
	}
	return rows, points
}

// ratioTicks are 1, 2 and 5 in each decade.
func ratioTicks(low, high float64) (ticks []plot.Tick) {
	for decade := 0.001; decade <= 1e6; decade *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if v := digit * decade; v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.4g", v)})
			}
		}
	}
	return ticks
}
