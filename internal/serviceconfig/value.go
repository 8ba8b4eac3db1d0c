package serviceconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
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
		err = fmt.Errorf("a JSON %s where %s is read", mismatch.Value, expected(mismatch.Type))
	}
	if broken, ok := errors.AsType[*json.SyntaxError](err); ok {
		err = fmt.Errorf("%w, after %d octets", err, broken.Offset)
	}
	switch {
	case err == nil:
		return nil
	case at == "":
		return fmt.Errorf("the service config is not JSON as it should be: %w", err)
	}
	return fmt.Errorf("%s: %w", at, err)
}

// expected says in the words of JSON what a Go type reads.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return t.String()
}

// field is one of an object, and where its value is to be.
type field struct {
	name string
	js   *json.RawMessage
}

// object reads the fields of an object, if there is one, and gives the name of one
// that is not among them. Names are the same as encoding/json has it, whatever
// their case. js is JSON.
//
// "An object whose names are all unique is interoperable"
// https://www.rfc-editor.org/rfc/rfc8259#section-4
func object(at string, js json.RawMessage, fields ...field) (unknown string, err error) {
	if !present(js) {
		return "", nil
	}
	if kind := kindOf(js); kind != "object" {
		return "", fault(at, fmt.Errorf("a JSON %s where an object is read", kind))
	}
	d := json.NewDecoder(bytes.NewReader(js))
	_, err = d.Token()
	for err == nil && d.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = d.Token(); err != nil {
			break
		}
		if err = d.Decode(&value); err != nil {
			break
		}
		i := slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name.(string)) })
		switch {
		case i < 0:
			unknown = name.(string)
		case *fields[i].js != nil:
			return "", fmt.Errorf("%s: it is there twice", strings.TrimPrefix(at+"."+fields[i].name, "."))
		default:
			*fields[i].js = value
		}
	}
	if err != nil {
		return "", fault(at, err)
	}
	return unknown, nil
}

// kindOf says what a value is in the words of JSON.
func kindOf(js json.RawMessage) string {
	if len(js) == 0 {
		return "nothing"
	}
	switch js[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
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
	if negative {
		sec, ns = -sec, -ns
	}
	const most = math.MaxInt64 / int64(time.Second)
	switch {
	case sec < -most:
		return math.MinInt64, nil
	case sec > most:
		return math.MaxInt64, nil
	}
	d := time.Duration(sec) * time.Second
	switch sum := d + time.Duration(ns); {
	case negative && sum > d:
		return math.MinInt64, nil
	case !negative && sum < d:
		return math.MaxInt64, nil
	default:
		return sum, nil
	}
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
