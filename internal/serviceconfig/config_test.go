package serviceconfig

import (
	"strings"
	"testing"
	"time"
)

const whole = `{
	"loadBalancingPolicy": "round_robin",
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "s"},
	"connectionScaling": {"maxConnectionsPerSubchannel": 7},
	"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
	"methodConfig": [
		{"name": [{}], "timeout": "9s"},
		{"name": [{"service": "a.S"}, {"service": "b.S", "method": "M"}], "timeout": "1.5s", "waitForReady": true,
		 "maxRequestMessageBytes": 1000, "maxResponseMessageBytes": 0,
		 "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", 10]}},
		{"name": [{"service": "a.S", "method": "M"}], "unknown": 1,
		 "hedgingPolicy": {"maxAttempts": 9, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["INTERNAL"]}}
	]
}`

// What a method's call is told: of the method itself, else of its service, else
// of all.
func TestMethod(t *testing.T) {
	c, err := Parse(whole, 5)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/a.S/M":     "hedges",
		"/a.S/N":     "retries",
		"/b.S/M":     "retries",
		"/b.S/N":     "default",
		"/c.S/M":     "default",
		"M":          "default",
		"":           "default",
		"/x/a.S/N":   "default",
		"/a.S/M/etc": "default",
	} {
		m, got := c.Method(path), "default"
		switch {
		case m == nil:
			got = "nothing"
		case m.Hedging != nil:
			got = "hedges"
		case m.Retry != nil:
			got = "retries"
		}
		if got != want {
			t.Errorf("%q has %s, want %s", path, got, want)
		}
	}
	m := c.Method("/a.S/N")
	if *m.Timeout != 1500*time.Millisecond || !*m.WaitForReady || *m.MaxRequest != 1000 || *m.MaxResponse != 0 || m.Hedging != nil {
		t.Errorf("the method has %+v", m)
	}
	if string(c.LoadBalancingConfig) != `[{"round_robin": {}}]` || c.LoadBalancingPolicy != "round_robin" || *c.HealthCheck != "s" {
		t.Errorf("the balancer gets %s, %s, %s", c.LoadBalancingPolicy, c.LoadBalancingConfig, *c.HealthCheck)
	}
	if *c.Throttling != (Throttling{10, 0.1}) {
		t.Errorf("the throttling is %+v", c.Throttling)
	}
	if *c.MaxConnections != 7 {
		t.Errorf("%d connections", *c.MaxConnections)
	}
	if c, err = Parse(`{}`, 5); err != nil || c.Method("/a.S/M") != nil || c.Throttling != nil {
		t.Errorf("an empty config is %+v, %v", c, err)
	}
}

// What is wrong is said with where it is.
func TestParse_Wrong(t *testing.T) {
	retry := func(s string) string {
		policy := map[string]string{
			"maxAttempts": "2", "initialBackoff": `"1s"`, "maxBackoff": `"1s"`, "backoffMultiplier": "1", "retryableStatusCodes": "[14]",
		}
		k, v, _ := strings.Cut(s, " ")
		policy[k] = v
		var b strings.Builder
		for k, v := range policy {
			if v != "" {
				b.WriteString(`, "` + k + `": ` + v)
			}
		}
		return `{"methodConfig": [{"name": []}, {"name": [{}], "retryPolicy": {` + b.String()[2:] + `}}]}`
	}
	hedge := func(s string) string { return `{"methodConfig": [{"name": [{}], "hedgingPolicy": {` + s + `}}]}` }
	for js, want := range map[string]string{
		"":                                 "empty",
		"{":                                "not JSON",
		"[]":                               "a JSON array where an object is read",
		`{"methodConfig": {}}`:             "methodConfig: a JSON object where",
		`{"methodConfig": [{"name": {}}]}`: "methodConfig[0].name: a JSON object",
		`{"methodConfig": [{"name": [{"method": "M"}]}]}`:                                `methodConfig[0].name[0]: a method "M" without a service`,
		`{"methodConfig": [{"name": [{"service": 1}]}]}`:                                 "methodConfig[0].name[0].service: a JSON number where a string is read",
		`{"methodConfig": [{"name": [{"service": "s"}, {"service": "s"}]}]}`:             `methodConfig[0].name[1]: "/s/" is named before`,
		`{"methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s"}]}]}`: `methodConfig[1].name[0]: "/s/" is named before`,
		`{"methodConfig": [{"name": [{}]}, {"name": [{}]}]}`:                             `methodConfig[1].name[0]: "" is named before`,
		`{"methodConfig": [{"timeout": 1}]}`:                                             "methodConfig[0].timeout: a JSON number",
		`{"methodConfig": [{"timeout": "1"}]}`:                                           "methodConfig[0].timeout: ",
		`{"methodConfig": [{"waitForReady": "true"}]}`:                                   "methodConfig[0].waitForReady: a JSON string",
		`{"methodConfig": [{"maxRequestMessageBytes": "1"}]}`:                            "methodConfig[0].maxRequestMessageBytes: a JSON string",
		`{"methodConfig": [{"maxResponseMessageBytes": 0.5}]}`:                           "methodConfig[0].maxResponseMessageBytes: a JSON number 0.5",
		retry("maxAttempts 1"):                                                           "methodConfig[1].retryPolicy.maxAttempts: 1 is less than 2",
		retry("maxAttempts "):                                                            "methodConfig[1].retryPolicy.maxAttempts: 0 is less than 2",
		retry("maxAttempts 2.5"):                                                         "methodConfig[1].retryPolicy.maxAttempts: a JSON number",
		retry(`initialBackoff "0s"`):                                                     "methodConfig[1].retryPolicy.initialBackoff: 0s is not more than 0",
		retry("initialBackoff "):                                                         "methodConfig[1].retryPolicy.initialBackoff: it is required",
		retry(`maxBackoff "-1s"`):                                                        "methodConfig[1].retryPolicy.maxBackoff: -1s is not more",
		retry("backoffMultiplier 0"):                                                     "methodConfig[1].retryPolicy.backoffMultiplier: 0 is not more than 0",
		retry("backoffMultiplier "):                                                      "methodConfig[1].retryPolicy.backoffMultiplier: 0 is not",
		retry("retryableStatusCodes []"):                                                 "methodConfig[1].retryPolicy.retryableStatusCodes: it is required",
		retry(`retryableStatusCodes [14, "ABORT"]`):                                      `methodConfig[1].retryPolicy.retryableStatusCodes[1]: "ABORT" is no status code`,
		retry("retryableStatusCodes [17]"):                                               "methodConfig[1].retryPolicy.retryableStatusCodes[0]: 17 is no",
		hedge(`"maxAttempts": 1`):                                                        "methodConfig[0].hedgingPolicy.maxAttempts: 1",
		hedge(`"maxAttempts": 2`):                                                        "methodConfig[0].hedgingPolicy.nonFatalStatusCodes: it is required",
		hedge(`"maxAttempts": 2, "hedgingDelay": "x"`):                                   "methodConfig[0].hedgingPolicy.hedgingDelay: ",
		hedge(`"maxAttempts": 2, "hedgingDelay": "-1s", "nonFatalStatusCodes": [14]`):    "methodConfig[0].hedgingPolicy.hedgingDelay: -1s is negative",
		strings.Replace(retry("maxAttempts 2"), `"retryPolicy"`, `"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": [14]}, "retryPolicy"`, 1): "methodConfig[1].hedgingPolicy: there is a retryPolicy too",
		`{"retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}`:                              "retryThrottling.maxTokens: 0 is not",
		`{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}`:                           "retryThrottling.maxTokens: 1001 is more than 1000",
		`{"retryThrottling": {"maxTokens": 10}}`:                                              "retryThrottling.tokenRatio: 0 is not",
		`{"loadBalancingPolicy": 1}`:                                                          "loadBalancingPolicy: a JSON number",
		`{"healthCheckConfig": []}`:                                                           "healthCheckConfig: a JSON array where an object is read",
		`{"healthCheckConfig": {"serviceName": 1}}`:                                           "healthCheckConfig.serviceName: a JSON number where a string is read",
		`{"connectionScaling": 4}`:                                                            "connectionScaling: a JSON number where an object is read",
		`{"connectionScaling": {"maxConnectionsPerSubchannel": "4"}}`:                         "connectionScaling.maxConnectionsPerSubchannel: a JSON string where a whole number is read",
		`{"connectionScaling": {"maxConnectionsPerSubchannel": 1.5}}`:                         "connectionScaling.maxConnectionsPerSubchannel: a JSON number 1.5 where a whole number is read",
		`{"connectionScaling": {"maxConnectionsPerSubchannel": -1}}`:                          "connectionScaling.maxConnectionsPerSubchannel: -1 is not in 0 to 4294967295",
		`{"connectionScaling": {"maxConnectionsPerSubchannel": 4294967296}}`:                  "connectionScaling.maxConnectionsPerSubchannel: 4294967296 is not",
		`{"methodConfig": [], "METHODCONFIG": []}`:                                            "methodConfig: it is there twice",
		`{"methodConfig": [{"timeout": null, "timeout": "1s"}]}`:                              "methodConfig[0].timeout: it is there twice",
		`{"methodConfig": [{"name": [{}, {"service": "s", "method": "m", "Service": "s"}]}]}`: "methodConfig[0].name[1].service: it is there twice",
		`{"retryThrottling": {"maxTokens": 1, "maxTokens": 1}}`:                               "retryThrottling.maxTokens: it is there twice",
		`{"methodConfig": [{"name": [true]}]}`:                                                "methodConfig[0].name[0]: a JSON bool where an object is read",
		`{} {}`:                                                                               "after 4 octets",
	} {
		if _, err := Parse(js, 5); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", js, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add(`{"methodConfig": null}`)
	f.Fuzz(func(t *testing.T, js string) {
		c, err := Parse(js, 5)
		if err != nil {
			return
		}
		for path, m := range c.methods {
			if c.Method(path) != m {
				t.Errorf("%q is not found", path)
			}
			if r := m.Retry; r != nil && (r.MaxAttempts < 2 || r.MaxAttempts > 5 || r.Backoff(3, 0.9) < 0 || r.Codes == 0) {
				t.Errorf("%q has %+v", path, r)
			}
		}
	})
}
