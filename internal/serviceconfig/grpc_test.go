package serviceconfig

import (
	"reflect"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// grpcParser gives the parser of grpc-go, which a resolver may use.
func grpcParser(t *testing.T) func(js string) (*grpc.ServiceConfig, error) { //nolint:staticcheck // there is no other way to it
	t.Helper()
	r := manual.NewBuilderWithScheme("parser")
	r.InitialState(resolver.State{})
	conn, err := grpc.NewClient("parser:///x", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	conn.Connect()                                        // builds the resolver, which has no address to dial
	return func(js string) (*grpc.ServiceConfig, error) { //nolint:staticcheck // the same
		res := r.CC().ParseServiceConfig(js)
		sc, _ := res.Config.(*grpc.ServiceConfig) //nolint:staticcheck // the same
		return sc, res.Err
	}
}

// Each config is taken or refused as by grpc-go, and says the same of methods.
func TestParse_AsGRPC(t *testing.T) {
	theirs := grpcParser(t)
	retry := func(s string) string {
		return `{"methodConfig": [{"name": [{"service": "s"}], "retryPolicy": ` + s + `}]}`
	}
	for _, js := range []string{
		``, `{}`, `null`, `[]`, `{`, `1`, `{"unknown": {}}`,
		`{"methodConfig": null}`, `{"methodConfig": []}`, `{"methodConfig": [null]}`, `{"methodConfig": [{}]}`, `{"methodConfig": {}}`,
		`{"methodConfig": [{"name": null}]}`, `{"methodConfig": [{"name": []}]}`, `{"methodConfig": [{"name": [null]}]}`,
		`{"METHODCONFIG": [{"NAME": [{"Service": "s", "METHOD": "m"}], "TimeOut": "1s"}]}`,
		`{"methodConfig": [{"name": [{}], "timeout": "1s"}]}`,
		`{"methodConfig": [{"name": [{"service": ""}], "timeout": "-1s"}]}`,
		`{"methodConfig": [{"name": [{"method": "m"}]}]}`,
		`{"methodConfig": [{"name": [{"service": "s", "method": ""}], "waitForReady": false}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}, {"service": "s"}]}]}`,
		`{"methodConfig": [{"name": [{"service": "s", "method": "m"}]}, {"name": [{"service": "s", "method": "m"}]}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s", "method": "m"}], "timeout": "2s"}, {"name": [{}]}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": null, "waitForReady": null, "retryPolicy": null}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": "3c"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": 3}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": ".s"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": ".25s"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": "0.1234567891s"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": "315576000000s"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "timeout": "315576000001s"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "waitForReady": "yes"}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "waitForReady": 1}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "maxRequestMessageBytes": 1024, "maxResponseMessageBytes": 2048}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "maxRequestMessageBytes": 9223372036854775807}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "maxRequestMessageBytes": 9223372036854775808}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "maxRequestMessageBytes": -1}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}], "maxRequestMessageBytes": "1"}]}`,
		`{"methodConfig": [{"name": [{"service": 1}]}]}`,
		retry(`{}`), retry(`null`), retry(`[]`), retry(`""`),
		retry(`{"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}`),
		retry(`{"MaxAttempts": 4, "InitialBackoff": ".01s", "MaxBackoff": ".01s", "BackoffMultiplier": 1.0, "RetryableStatusCodes": [14, "ABORTED", "CANCELLED"]}`),
		retry(`{"maxAttempts": 100, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 0.5, "retryableStatusCodes": [0, 16]}`),
		retry(`{"maxAttempts": 1, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2.0, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": "2", "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "0s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "-1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 0, "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": "1", "retryableStatusCodes": [14]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": []}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["unavailable"]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["14"]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [17]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [-1]}`),
		retry(`{"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [null]}`),
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}`,
		`{"methodConfig": [], "retryThrottling": null}`,
		`{"methodConfig": [], "retryThrottling": {}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 0, "tokenRatio": 0.1}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 1000, "tokenRatio": 2000}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 1000.5, "tokenRatio": 0.1}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 10, "tokenRatio": -1}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": "10", "tokenRatio": 1}}`,
		`{"connectionScaling": {"maxConnectionsPerSubchannel": 4}}`, `{"connectionScaling": {}}`, `{"connectionScaling": null}`,
		`{"loadBalancingPolicy": "round_robin"}`, `{"loadBalancingPolicy": 1}`,
		`{"loadBalancingConfig": [{"round_robin": {}}]}`, `{"healthCheckConfig": {"serviceName": "s"}}`,
	} {
		ours, err := Parse(js, 5)
		want, wantErr := theirs(js)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s\ngives  %v\ngrpc-go %v", js, err, wantErr)
		}
		if err != nil || wantErr != nil {
			continue
		}
		if len(ours.methods) != len(want.Methods) {
			t.Errorf("%s has %d methods, grpc-go has %d", js, len(ours.methods), len(want.Methods))
		}
		for path, w := range want.Methods {
			compare(t, js, path, ours.methods[path], w)
		}
	}
}

func compare(t *testing.T, js, path string, m *Method, want grpc.MethodConfig) { //nolint:staticcheck // the same
	t.Helper()
	if m == nil {
		t.Errorf("%s has nothing for %q", js, path)
		return
	}
	if !reflect.DeepEqual([]any{m.Timeout, m.WaitForReady, m.MaxRequest, m.MaxResponse}, []any{want.Timeout, want.WaitForReady, want.MaxReqSize, want.MaxRespSize}) {
		t.Errorf("%s: %q has %+v, in grpc-go %+v", js, path, m, want)
	}
	if (m.Retry == nil) != (want.RetryPolicy == nil) {
		t.Errorf("%s: %q has %+v, in grpc-go %+v", js, path, m.Retry, want.RetryPolicy)
		return
	}
	if m.Retry == nil {
		return
	}
	set := make(map[codes.Code]bool)
	for c := range codes.Code(32) {
		if m.Retry.Codes.Has(c) {
			set[c] = true
		}
	}
	if r := want.RetryPolicy; m.Retry.MaxAttempts != r.MaxAttempts || m.Retry.InitialBackoff != r.InitialBackoff || m.Retry.MaxBackoff != r.MaxBackoff ||
		m.Retry.BackoffMultiplier != r.BackoffMultiplier || !reflect.DeepEqual(set, r.RetryableStatusCodes) {
		t.Errorf("%s: %q has %+v, in grpc-go %+v", js, path, m.Retry, r)
	}
}

// Where grpc-go takes what can mean nothing, it is refused: the numbers of a
// throttling without methods, and hedging and several connections, which it does
// not know.
func TestParse_StricterThanGRPC(t *testing.T) {
	theirs := grpcParser(t)
	for _, js := range []string{
		`{"retryThrottling": {"maxTokens": -1}}`,
		`{"methodConfig": [{"retryPolicy": {"maxAttempts": 1}}]}`,
		`{"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 1}}]}`,
		`{"connectionScaling": {"maxConnectionsPerSubchannel": "4"}}`,
	} {
		if _, err := theirs(js); err != nil {
			t.Errorf("grpc-go refuses %s: %v", js, err)
		}
		if c, err := Parse(js, 5); err == nil {
			t.Errorf("%s gives %+v", js, c)
		}
	}
}
