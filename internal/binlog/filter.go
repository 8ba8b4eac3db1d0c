// Package binlog decides which calls are logged, and makes the entries of their
// binary log.
package binlog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// limits bound what is logged of a call, in octets: of the metadata of each
// header, and of each message.
type limits struct{ header, message uint64 }

// unlimited is the limit that no filter states.
const unlimited = math.MaxUint64

// filter names the methods that are logged. The most specific rule counts.
type filter struct {
	methods  map[string]limits // by "service/method"
	excluded map[string]bool
	services map[string]limits
	all      *limits
}

// of gives the limits for the calls of a :path, and whether they are logged.
func (f *filter) of(path string) (limits, bool) {
	name := strings.TrimPrefix(path, "/")
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return limits{}, false
	}
	if l, ok := f.methods[name]; ok {
		return l, true
	}
	if f.excluded[name] {
		return limits{}, false
	}
	if l, ok := f.services[name[:i]]; ok {
		return l, true
	}
	if f.all != nil {
		return *f.all, true
	}
	return limits{}, false
}

// parse reads a filter: rules with commas in between.
func parse(text string) (*filter, error) {
	f := &filter{methods: make(map[string]limits), excluded: make(map[string]bool), services: make(map[string]limits)}
	for rule := range strings.SplitSeq(text, ",") {
		if err := f.add(rule); err != nil {
			return nil, fmt.Errorf("the binary log filter %q: the rule %q %w", text, rule, err)
		}
	}
	return f, nil
}

type ruleError string

func (e ruleError) Error() string { return string(e) }

const (
	errForm     = ruleError(`is none of "*", "service/*", "service/method" with limits as in "{h:256;m:1024}", and "-service/method"`)
	errTwice    = ruleError("contradicts an earlier one for the same methods")
	errExcluded = ruleError("must name one method, without limits, to leave it out")
	errLimits   = ruleError(`has limits that are not like "{h}", "{m:1024}" or "{h:256;m:1024}"`)
)

func (f *filter) add(rule string) error {
	rule, exclude := strings.CutPrefix(rule, "-")
	name, bounds := rule, ""
	if i := strings.IndexByte(rule, '{'); i >= 0 {
		name, bounds = rule[:i], rule[i:]
	}
	l, err := parseLimits(bounds)
	if err != nil {
		return err
	}
	if name == "*" && !exclude {
		if f.all != nil {
			return errTwice
		}
		f.all = &l
		return nil
	}
	i := strings.LastIndexByte(name, '/')
	if i <= 0 || !isName(name[:i], "./") {
		return errForm
	}
	service, method := name[:i], name[i+1:]
	switch {
	case method != "*" && !isName(method, ""):
		return errForm
	case exclude && (method == "*" || bounds != ""):
		return errExcluded
	case method == "*":
		if _, ok := f.services[service]; ok {
			return errTwice
		}
		f.services[service] = l
		return nil
	}
	if _, ok := f.methods[name]; ok || f.excluded[name] {
		return errTwice
	}
	if exclude {
		f.excluded[name] = true
	} else {
		f.methods[name] = l
	}
	return nil
}

// isName reports whether s has letters, digits, underscores and what is in also,
// and one of them at least.
func isName(s, also string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune(also, rune(c)) {
			return false
		}
	}
	return s != ""
}

// parseLimits reads "{h:n;m:n}". What is not named is not logged, unless
// nothing is; what has no number is not bounded.
func parseLimits(s string) (limits, error) {
	if s == "" {
		return limits{unlimited, unlimited}, nil
	}
	inner, ok := strings.CutSuffix(strings.TrimPrefix(s, "{"), "}")
	if !ok {
		return limits{}, errLimits
	}
	first, second, both := strings.Cut(inner, ";")
	var l limits
	var err error
	switch {
	case both:
		if l.message, err = parseLimit(second, "m"); err != nil {
			return limits{}, err
		}
		fallthrough
	case strings.HasPrefix(first, "h"):
		l.header, err = parseLimit(first, "h")
	default:
		l.message, err = parseLimit(first, "m")
	}
	return l, err
}

// parseLimit reads "h" or "h:n".
func parseLimit(s, kind string) (uint64, error) {
	if s == kind {
		return unlimited, nil
	}
	digits, ok := strings.CutPrefix(s, kind+":")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return 0, errLimits
	}
	return n, nil
}
