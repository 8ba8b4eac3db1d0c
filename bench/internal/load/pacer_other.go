//go:build !linux

package load

import "time"

// step is between the moments at which calls can begin.
const step = time.Millisecond

type pacer struct{ ticker *time.Ticker }

func newPacer() (*pacer, error) { return &pacer{ticker: time.NewTicker(step)}, nil }

// wait ends with the next step.
func (p *pacer) wait() error {
	<-p.ticker.C
	return nil
}

func (p *pacer) close() { p.ticker.Stop() }
