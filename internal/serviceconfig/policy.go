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
	var attempts, initial, most, multiplier, retryable json.RawMessage
	_, err := object(at, js, field{"maxAttempts", &attempts}, field{"initialBackoff", &initial}, field{"maxBackoff", &most},
		field{"backoffMultiplier", &multiplier}, field{"retryableStatusCodes", &retryable})
	if err != nil {
		return nil, err
	}
	r := new(Retry)
	if r.MaxAttempts, err = readAttempts(at, attempts, maxAttempts); err != nil {
		return nil, err
	}
	if r.InitialBackoff, err = readBackoff(at+".initialBackoff", initial); err != nil {
		return nil, err
	}
	if r.MaxBackoff, err = readBackoff(at+".maxBackoff", most); err != nil {
		return nil, err
	}
	if r.BackoffMultiplier, err = readPositive(at+".backoffMultiplier", multiplier); err != nil {
		return nil, err
	}
	r.Codes, err = readCodes(at+".retryableStatusCodes", retryable)
	return r, err
}

func readHedging(at string, js json.RawMessage, maxAttempts int) (*Hedging, error) {
	if !present(js) {
		return nil, nil
	}
	var attempts, wait, nonFatal json.RawMessage
	_, err := object(at, js, field{"maxAttempts", &attempts}, field{"hedgingDelay", &wait}, field{"nonFatalStatusCodes", &nonFatal})
	if err != nil {
		return nil, err
	}
	h := new(Hedging)
	if h.MaxAttempts, err = readAttempts(at, attempts, maxAttempts); err != nil {
		return nil, err
	}
	delay, err := readDuration(at+".hedgingDelay", wait)
	if err != nil {
		return nil, err
	}
	if delay != nil {
		if h.Delay = *delay; h.Delay < 0 {
			return nil, fmt.Errorf("%s.hedgingDelay: %v is negative", at, h.Delay)
		}
	}
	h.NonFatal, err = readCodes(at+".nonFatalStatusCodes", nonFatal)
	return h, err
}

func readThrottling(js json.RawMessage) (*Throttling, error) {
	const at = "retryThrottling"
	if !present(js) {
		return nil, nil
	}
	var tokens, ratio json.RawMessage
	_, err := object(at, js, field{"maxTokens", &tokens}, field{"tokenRatio", &ratio})
	if err != nil {
		return nil, err
	}
	t := new(Throttling)
	if t.MaxTokens, err = readPositive(at+".maxTokens", tokens); err != nil {
		return nil, err
	}
	if t.MaxTokens > 1000 {
		return nil, fmt.Errorf("%s.maxTokens: %v is more than 1000", at, t.MaxTokens)
	}
	t.TokenRatio, err = readPositive(at+".tokenRatio", ratio)
	return t, err
}

// readHealthCheck gives the service whose health is to be checked, or nil.
func readHealthCheck(js json.RawMessage) (*string, error) {
	const at = "healthCheckConfig"
	if !present(js) {
		return nil, nil
	}
	var name json.RawMessage
	if _, err := object(at, js, field{"serviceName", &name}); err != nil {
		return nil, err
	}
	service := new(string)
	return service, read(at+".serviceName", name, service)
}

// readScaling reads how many connections there may be to an address, a
// google.protobuf.UInt32Value: nil if nothing is said.
//
// https://github.com/grpc/proposal/blob/master/A105-max_concurrent_streams-connection-scaling.md#configuration
func readScaling(js json.RawMessage) (*int, error) {
	const at = "connectionScaling"
	var most json.RawMessage
	if _, err := object(at, js, field{"maxConnectionsPerSubchannel", &most}); err != nil {
		return nil, err
	}
	v, err := readOptional[int64](at+".maxConnectionsPerSubchannel", most)
	if v == nil || err != nil {
		return nil, err
	}
	if *v < 0 || *v > math.MaxUint32 {
		return nil, fmt.Errorf("%s.maxConnectionsPerSubchannel: %d is not in 0 to %d", at, *v, uint32(math.MaxUint32))
	}
	n := int(min(*v, math.MaxInt32))
	return &n, nil
}
