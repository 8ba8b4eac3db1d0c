package serviceconfig

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc/codes"
)

// Codes is a set of status codes.
type Codes uint32

// With gives the set with one more.
func (s Codes) With(c codes.Code) Codes { return s | 1<<c }

// Has reports whether a code is among them.
func (s Codes) Has(c codes.Code) bool { return c < 32 && s&(1<<c) != 0 }

// Retry is a policy for calls that have failed.
//
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#retry-policy
type Retry struct {
	MaxAttempts       int // with the first: 2 at least
	InitialBackoff    time.Duration
	MaxBackoff        time.Duration
	BackoffMultiplier float64
	Codes             Codes
}

// Backoff is how long to wait for the next attempt after that many that waited
// so. random is in [0, 1): the delay is up to a fifth less or more.
func (r *Retry) Backoff(before int, random float64) time.Duration {
	d := float64(r.InitialBackoff) * math.Pow(r.BackoffMultiplier, float64(before))
	d = min(d, float64(r.MaxBackoff)) * (0.8 + 0.4*random)
	return time.Duration(min(d, float64(longest)))
}

// longest is a duration that floats hold, of 292 years.
const longest = time.Duration(math.MaxInt64 >> 10 << 10)

// Hedging is a policy for calls of which several are made beside each other.
//
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#hedging-policy
type Hedging struct {
	MaxAttempts int // with the first: 2 at least
	Delay       time.Duration
	NonFatal    Codes
}

// Throttling is when a client makes single attempts only: see Tokens.
type Throttling struct {
	MaxTokens  float64 // more than 0, 1000 at most
	TokenRatio float64 // more than 0
}

func readRetry(at string, js json.RawMessage, maxAttempts int) (*Retry, error) {
	if !present(js) {
		return nil, nil
	}
	var raw struct {
		MaxAttempts, InitialBackoff, MaxBackoff, BackoffMultiplier, RetryableStatusCodes json.RawMessage
	}
	if err := read(at, js, &raw); err != nil {
		return nil, err
	}
	r := new(Retry)
	var err error
	if r.MaxAttempts, err = readAttempts(at, raw.MaxAttempts, maxAttempts); err != nil {
		return nil, err
	}
	if r.InitialBackoff, err = readBackoff(at+".initialBackoff", raw.InitialBackoff); err != nil {
		return nil, err
	}
	if r.MaxBackoff, err = readBackoff(at+".maxBackoff", raw.MaxBackoff); err != nil {
		return nil, err
	}
	if r.BackoffMultiplier, err = readPositive(at+".backoffMultiplier", raw.BackoffMultiplier); err != nil {
		return nil, err
	}
	r.Codes, err = readCodes(at+".retryableStatusCodes", raw.RetryableStatusCodes)
	return r, err
}

func readHedging(at string, js json.RawMessage, maxAttempts int) (*Hedging, error) {
	if !present(js) {
		return nil, nil
	}
	var raw struct{ MaxAttempts, HedgingDelay, NonFatalStatusCodes json.RawMessage }
	if err := read(at, js, &raw); err != nil {
		return nil, err
	}
	h := new(Hedging)
	var err error
	if h.MaxAttempts, err = readAttempts(at, raw.MaxAttempts, maxAttempts); err != nil {
		return nil, err
	}
	delay, err := readDuration(at+".hedgingDelay", raw.HedgingDelay)
	if err != nil {
		return nil, err
	}
	if delay != nil {
		if h.Delay = *delay; h.Delay < 0 {
			return nil, fmt.Errorf("%s.hedgingDelay: %v is negative", at, h.Delay)
		}
	}
	h.NonFatal, err = readCodes(at+".nonFatalStatusCodes", raw.NonFatalStatusCodes)
	return h, err
}

func readThrottling(js json.RawMessage) (*Throttling, error) {
	const at = "retryThrottling"
	if !present(js) {
		return nil, nil
	}
	var raw struct{ MaxTokens, TokenRatio json.RawMessage }
	if err := read(at, js, &raw); err != nil {
		return nil, err
	}
	t := new(Throttling)
	var err error
	if t.MaxTokens, err = readPositive(at+".maxTokens", raw.MaxTokens); err != nil {
		return nil, err
	}
	if t.MaxTokens > 1000 {
		return nil, fmt.Errorf("%s.maxTokens: %v is more than 1000", at, t.MaxTokens)
	}
	t.TokenRatio, err = readPositive(at+".tokenRatio", raw.TokenRatio)
	return t, err
}
