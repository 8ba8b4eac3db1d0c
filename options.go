package weir

import (
	"errors"
	"fmt"
	"reflect"
)

// optionFault is the first thing that is wrong with options which could not be
// taken: NewClient fails with it, and Serve and ServeTransport of a Server.
type optionFault struct{ err error }

func (f *optionFault) note(option, text string) {
	if f.err == nil {
		f.err = optionError{option, errors.New(text)}
	}
}

// absent is what is wrong with the one at i, from zero, of n options of a kind.
func absent(what string, i, n int) string {
	return fmt.Sprintf("%s %d of %d is nil: leave it out", what, i+1, n)
}

// chained gives the interceptors that an option adds to a chain. Nil alone is none,
// as in grpc-go, where nil among others makes calls panic.
func chained[I any](f *optionFault, option string, is []I) []I {
	for i := range is {
		if !reflect.ValueOf(is[i]).IsNil() {
			continue
		}
		if len(is) == 1 {
			return nil
		}
		f.note(option, absent("interceptor", i, len(is)))
	}
	return is
}
