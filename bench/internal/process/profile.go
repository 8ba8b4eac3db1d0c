package process

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// profile is where a process writes its profiles, and which.
type profile struct {
	Prefix     string `json:"prefix"` // of the names of files
	Contention bool   `json:"contention,omitempty"`
}

// How much of the waiting is sampled: all of it would be most of the work.
const (
	blockRate     = 10_000 // one for each so many ns
	mutexFraction = 10     // one of so many
)

// profiler has the profile that is being made, if any. It is for one goroutine.
type profiler struct {
	profile

	cpu *os.File // nil while there is none
}

func (p *profiler) start(what profile) error {
	if p.cpu != nil {
		return errors.New("expected the end of the profile before the next; came the next")
	}
	cpu, err := os.Create(what.Prefix + ".cpu.pprof")
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return errors.Join(err, cpu.Close())
	}
	p.profile, p.cpu = what, cpu
	if p.Contention {
		runtime.SetBlockProfileRate(blockRate)
		runtime.SetMutexProfileFraction(mutexFraction)
	}
	return nil
}

// end writes what has been sampled. It does nothing without a start.
func (p *profiler) end() error {
	if p.cpu == nil {
		return nil
	}
	pprof.StopCPUProfile()
	errs := []error{p.cpu.Close()}
	p.cpu = nil
	if p.Contention {
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(0)
		errs = append(errs, p.write("block"), p.write("mutex"))
	}
	return errors.Join(errs...)
}

func (p *profiler) write(name string) (err error) {
	f, err := os.Create(p.Prefix + "." + name + ".pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return pprof.Lookup(name).WriteTo(f, 0)
}
