package serviceconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// present reports whether there is a value: null is none.
func present(js json.RawMessage) bool { return len(js) > 0 && string(js) != "null" }

// read reads a value, if there is one.
func read(at string, js json.RawMessage, v any) error {
	if !present(js) {
		return nil
	}
	return fault(at, json.Unmarshal(js, v))
}

// fault says where something is wrong, in the words of JSON.
func fault(at string, err error) error {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mismatch.Field != "" {
			at += "." + mismatch.Field
		}
		err = fmt.Errorf("a JSON %s where a Go %s is read", mismatch.Value, mismatch.Type)
	}
	switch {
	case err == nil:
		return nil
	case at == "":
		return errors.New("the service config is not JSON as it should be: " + err.Error())
	}
	return fmt.Errorf("%s: %w", strings.TrimPrefix(at, "."), err)
}

// readOptional reads a value that may not be there: then it is nil.
func readOptional[T any](at string, js json.RawMessage) (v *T, err error) {
	return v, read(at, js, &v)
}

func readSize(at string, js json.RawMessage) (*int, error) {
	v, err := readOptional[int64](at, js)
	if v == nil || err != nil {
		return nil, err
	}
	n := int(min(*v, math.MaxInt))
	return &n, nil
}

func readAttempts(at string, js json.RawMessage, most int) (n int, err error) {
	at += ".maxAttempts"
	if err := read(at, js, &n); err != nil {
		return 0, err
	}
	if n < 2 {
		return 0, fmt.Errorf("%s: %d is less than 2, the first attempt and another", at, n)
	}
	return min(n, most), nil
}

func readPositive(at string, js json.RawMessage) (v float64, err error) {
	if err := read(at, js, &v); err != nil {
		return 0, err
	}
	if v <= 0 {
		return 0, fmt.Errorf("%s: %v is not more than 0", at, v)
	}
	return v, nil
}

func readBackoff(at string, js json.RawMessage) (time.Duration, error) {
	d, err := readDuration(at, js)
	switch {
	case err != nil:
		return 0, err
	case d == nil:
		return 0, fmt.Errorf("%s: it is required", at)
	case *d <= 0:
		return 0, fmt.Errorf("%s: %v is not more than 0", at, *d)
	}
	return *d, nil
}

func readCodes(at string, js json.RawMessage) (set Codes, err error) {
	var list []json.RawMessage
	if err := read(at, js, &list); err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("%s: it is required and has a code at least", at)
	}
	for i, one := range list {
		var c codes.Code
		if err := c.UnmarshalJSON(one); err != nil {
			return 0, fmt.Errorf("%s[%d]: %s is no status code", at, i, one)
		}
		set = set.With(c)
	}
	return set, nil
}

func readDuration(at string, js json.RawMessage) (*time.Duration, error) {
	s, err := readOptional[string](at, js)
	if s == nil || err != nil {
		return nil, err
	}
	d, err := parseDuration(*s)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is no duration like \"1.5s\": %w", at, *s, err)
	}
	return &d, nil
}

// maxSeconds is the largest google.protobuf.Duration, of ten thousand years.
const maxSeconds = 315_576_000_000

// parseDuration reads a google.protobuf.Duration. What time.Duration cannot
// hold is the nearest that it can.
//
// https://protobuf.dev/programming-guides/json/
func parseDuration(s string) (time.Duration, error) {
	digits, ok := strings.CutSuffix(s, "s")
	if !ok {
		return 0, errors.New("it has no s at its end")
	}
	digits, negative := strings.CutPrefix(digits, "-")
	whole, part, _ := strings.Cut(digits, ".")
	if whole == "" && part == "" {
		return 0, errors.New("it has no digits")
	}
	if len(part) > 9 {
		return 0, errors.New("it has more than nine decimals")
	}
	sec, err := number(whole)
	if err != nil {
		return 0, err
	}
	if sec > maxSeconds {
		return 0, fmt.Errorf("it is more than %d s", int64(maxSeconds))
	}
	ns, err := number((part + "000000000")[:9])
	if err != nil {
		return 0, err
	}
	d := time.Duration(math.MaxInt64)
	if sec < math.MaxInt64/int64(time.Second) {
		d = time.Duration(sec)*time.Second + time.Duration(ns)
	}
	if negative {
		d = -d
	}
	return d, nil
}

// number reads digits; none are 0.
func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return int64(n), nil
}
