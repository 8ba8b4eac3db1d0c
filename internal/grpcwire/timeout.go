package grpcwire

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// The units of grpc-timeout, the finest first.
var timeoutUnits = [...]struct {
	name byte
	d    time.Duration
}{
	{'n', time.Nanosecond}, {'u', time.Microsecond}, {'m', time.Millisecond},
	{'S', time.Second}, {'M', time.Minute}, {'H', time.Hour},
}

// maxTimeoutValue is the most that eight digits say.
const maxTimeoutValue = 99_999_999

// AppendTimeout appends d as the value of grpc-timeout, in the finest unit that
// eight digits can say it in, rounded up: a server never gives up before its
// client. Nothing or less is "0n".
func AppendTimeout(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, '0', 'n')
	}
	for _, u := range timeoutUnits {
		n := d / u.d
		if d%u.d > 0 {
			n++
		}
		if n <= maxTimeoutValue {
			return append(strconv.AppendInt(dst, int64(n), 10), u.name)
		}
	}
	panic("BUG: no duration is longer than 99,999,999 hours")
}

var errTimeout = errors.New("not one to eight digits and one of H M S m u n")

// ParseTimeout reads the value of grpc-timeout: one to eight digits and a unit.
// A time that time.Duration cannot say is the longest that it can.
func ParseTimeout(s string) (time.Duration, error) {
	if len(s) < 2 || len(s) > 9 {
		return 0, errTimeout
	}
	var n int64
	for i := range len(s) - 1 {
		if s[i] < '0' || s[i] > '9' {
			return 0, errTimeout
		}
		n = n*10 + int64(s[i]-'0')
	}
	for _, u := range timeoutUnits {
		if u.name != s[len(s)-1] {
			continue
		}
		if n > math.MaxInt64/int64(u.d) {
			return math.MaxInt64, nil
		}
		return time.Duration(n) * u.d, nil
	}
	return 0, errTimeout
}
