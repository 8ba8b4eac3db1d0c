package weir

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// An option that a later grpc-go has in store is refused by its name, and not
// passed over; those of others, whatever their packages are called, are.
func TestOptionsOfLaterVersions(t *testing.T) {
	type ofAUser struct{}
	for _, tt := range []struct {
		option  any // stands for one
		refused string
	}{
		{grpc.ConnectParams{}, "grpc.ConnectParams"},
		{stats.Begin{}, "stats.Begin"},
		{ofAUser{}, ""},
	} {
		err := new(callInfo).applyType(reflect.ValueOf(tt.option))
		switch {
		case tt.refused == "" && err != nil:
			t.Errorf("%T: %v", tt.option, err)
		case tt.refused != "" && (status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "call option "+tt.refused)):
			t.Errorf("%T is refused by %v, which should name %s", tt.option, err, tt.refused)
		}
	}
}
