package screen

import (
	"github.com/schollz/progressbar/v3"
)

// Progress is a bar on a terminal and nothing elsewhere.
type Progress struct {
	bar *progressbar.ProgressBar
}

// NewProgress makes a bar that appears with the first step.
func (s *Screen) NewProgress() *Progress {
	if !s.terminal {
		return &Progress{}
	}
	return &Progress{bar: progressbar.NewOptions(1,
		progressbar.OptionSetWriter(s.raw),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetTheme(progressbar.Theme{
			Saucer: "━", SaucerHead: "━", SaucerPadding: "─", BarStart: "", BarEnd: " ",
		}),
	)}
}

// Step shows how many steps are done and what is being done now.
func (p *Progress) Step(done, steps int, doing string) {
	if p.bar == nil {
		return
	}
	p.bar.ChangeMax(steps)
	p.bar.Describe(doing)
	_ = p.bar.Set(done) // the terminal is gone, or it is not
}

// End takes the bar away.
func (p *Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
