package serviceconfig

import (
	"fmt"
	"strings"
)

// A sample is a service config, and what is to be said of it.
type sample struct {
	js string
	// wrong begins weir's error: the path of what is wrong. Empty means that it
	// is right.
	wrong string
	// stricter says that grpc-go takes it all the same.
	stricter bool
}

func right(all ...string) (list []sample) {
	for _, js := range all {
		list = append(list, sample{js: js})
	}
	return list
}

// method is a config with one entry of methodConfig for a service.
func method(fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return `{"methodConfig": [{"name": [{"service": "s"}]` + fields + `}]}`
}

// second is a config whose second entry of methodConfig has the fields.
func second(fields string) string {
	return `{"methodConfig": [{"name": [{"service": "first"}]}, {"name": [{"service": "s"}], ` + fields + `}]}`
}

// policy is a retry policy with one field changed: "" is without it.
func policy(name, value string) string {
	fields := [][2]string{
		{"maxAttempts", "3"}, {"initialBackoff", `"0.1s"`}, {"maxBackoff", `"1s"`}, {"backoffMultiplier", "2"}, {"retryableStatusCodes", `["UNAVAILABLE"]`},
	}
	var all []string
	for _, f := range fields {
		if f[0] == name {
			f[1] = value
		}
		if f[1] != "" {
			all = append(all, fmt.Sprintf("%q: %s", f[0], f[1]))
		}
	}
	return second(`"retryPolicy": {` + strings.Join(all, ", ") + `}`)
}

// lb is a config that names one balancer.
func lb(name, config string) string {
	return fmt.Sprintf(`{"loadBalancingConfig": [{%q: %s}]}`, name, config)
}

// corpus is what a service config may be and may not be.
func corpus() []sample {
	var all []sample
	all = append(all, wholeConfigs()...)
	all = append(all, methodConfigs()...)
	all = append(all, retryConfigs()...)
	all = append(all, balancerLists()...)
	return append(all, balancerConfigs()...)
}

func wholeConfigs() []sample {
	const broken = "the service config is not JSON as it should be: "
	return append([]sample{
		{js: ``, wrong: "the service config is empty"},
		{js: ` `, wrong: broken},
		{js: `{`, wrong: broken},
		{js: `{} x`, wrong: broken},
		{js: `{'a': 1}`, wrong: broken},
		{js: `{"a": 01}`, wrong: broken},
		{js: `{"a": 1,}`, wrong: broken},
		{js: "{\"a\": \"\x01\"}", wrong: broken},
		{js: `// none` + "\n{}", wrong: broken},
		{js: strings.Repeat("[", 20_000), wrong: broken},
		{js: `[]`, wrong: broken + "a JSON array where an object is read"},
		{js: `1`, wrong: broken + "a JSON number"},
		{js: `"{}"`, wrong: broken + "a JSON string"},
		{js: `true`, wrong: broken + "a JSON bool"},
		{js: `{"methodConfig": {}}`, wrong: "methodConfig: a JSON object where an array is read"},
		{js: `{"methodConfig": ""}`, wrong: "methodConfig: "},
		{js: `{"methodConfig": [1]}`, wrong: "methodConfig[0]: a JSON number where an object is read"},
		{js: `{"methodConfig": [{}, []]}`, wrong: "methodConfig[1]: a JSON array where an object is read"},
		{js: `{"healthCheckConfig": []}`, wrong: "healthCheckConfig: a JSON array where an object is read"},
		{js: `{"healthCheckConfig": {"serviceName": 1}}`, wrong: "healthCheckConfig.serviceName: a JSON number where a string is read"},
		{js: `{"retryThrottling": 1}`, wrong: "retryThrottling: a JSON number where an object is read"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: 0 is not more than 0"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 1000.1, "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: 1000.1 is more than 1000"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": -1, "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: -1"},
		{js: `{"methodConfig": [], "retryThrottling": {"tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: 0"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 5}}`, wrong: "retryThrottling.tokenRatio: 0"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 5, "tokenRatio": -0.1}}`, wrong: "retryThrottling.tokenRatio: -0.1"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": "5", "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: a JSON string where a number is read"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 1e999, "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: a JSON number"},
		{js: `{"methodConfig": [], "retryThrottling": {"maxTokens": 5, "tokenRatio": [1]}}`, wrong: "retryThrottling.tokenRatio: a JSON array"},
		{js: `{"retryThrottling": {"maxTokens": 0, "tokenRatio": 1}}`, wrong: "retryThrottling.maxTokens: 0", stricter: true},
		{js: `{"methodConfig": [], "methodConfig": []}`, wrong: "methodConfig: it is there twice", stricter: true},
		{js: `{"methodConfig": 1, "METHODCONFIG": []}`, wrong: "methodConfig: it is there twice"},
		{js: `{"retryThrottling": null, "retryThrottling": 1}`, wrong: "retryThrottling: it is there twice"},
	}, right(
		`{}`, `null`, " {\n}\t", `{"unknown": {"a": [1, null]}}`, `{"unknown": 1, "unknown": 2}`,
		`{"methodConfig": null}`, `{"methodConfig": []}`, `{"METHODCONFIG": [{"NAME": [{"SERVICE": "s"}], "TIMEOUT": "1s"}]}`,
		`{"healthCheckConfig": null}`, `{"healthCheckConfig": {}}`, `{"healthCheckConfig": {"serviceName": null}}`,
		`{"healthCheckConfig": {"serviceName": "s", "other": 1}}`,
		`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`,
		`{"methodConfig": [], "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.001}}`,
		`{"methodConfig": [], "retryThrottling": {"MaxTokens": 1e2, "TOKENRATIO": 1E-3}}`,
		`{"methodConfig": [], "retryThrottling": null}`,
	)...)
}

func methodConfigs() []sample {
	const at = "methodConfig[1]."
	return append([]sample{
		{js: `{"methodConfig": [{"name": {}}]}`, wrong: "methodConfig[0].name: a JSON object where an array is read"},
		{js: `{"methodConfig": [{"name": [3]}]}`, wrong: "methodConfig[0].name[0]: a JSON number where an object is read"},
		{js: `{"methodConfig": [{"name": [{"service": 1}]}]}`, wrong: "methodConfig[0].name[0].service: a JSON number where a string is read"},
		{js: `{"methodConfig": [{"name": [{"service": "s"}, {"service": "t", "method": {}}]}]}`, wrong: "methodConfig[0].name[1].method: a JSON object"},
		{js: `{"methodConfig": [{"name": [{"method": "m"}]}]}`, wrong: `methodConfig[0].name[0]: a method "m" without a service`},
		{js: `{"methodConfig": [{"name": [{"service": "", "method": "m"}]}]}`, wrong: "methodConfig[0].name[0]: "},
		{js: `{"methodConfig": [{"name": [{"service": "s"}, {"service": "s"}]}]}`, wrong: `methodConfig[0].name[1]: "/s/" is named before`},
		{js: `{"methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s", "method": ""}]}]}`, wrong: "methodConfig[1].name[0]: "},
		{js: `{"methodConfig": [{"name": [{}]}, {"name": [null]}]}`, wrong: `methodConfig[1].name[0]: "" is named before`},
		{js: `{"methodConfig": [{"name": [{"service": "s", "service": "t"}]}]}`, wrong: "methodConfig[0].name[0].service: it is there twice", stricter: true},
		{js: second(`"timeout": 1`), wrong: at + "timeout: a JSON number where a string is read"},
		{js: second(`"timeout": "1"`), wrong: at + `timeout: "1" is no duration`},
		{js: second(`"timeout": ""`), wrong: at + "timeout: "},
		{js: second(`"timeout": "s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": ".s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1.0000000001s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1 s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1ms"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1m"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "+1s"`), wrong: at + `timeout: "+1s" is no duration`, stricter: true},
		{js: second(`"timeout": "--1s"`), wrong: at + "timeout: ", stricter: true},
		{js: second(`"timeout": "1.-5s"`), wrong: at + "timeout: ", stricter: true},
		{js: second(`"timeout": "1.2.3s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1e3s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "0x1s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "1_0s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "315576000001s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": "99999999999999999999s"`), wrong: at + "timeout: "},
		{js: second(`"timeout": {"seconds": 1}`), wrong: at + "timeout: a JSON object"},
		{js: second(`"timeout": "1s", "timeout": "2s"`), wrong: at + "timeout: it is there twice", stricter: true},
		{js: second(`"waitForReady": "true"`), wrong: at + "waitForReady: a JSON string where true or false is read"},
		{js: second(`"waitForReady": 1`), wrong: at + "waitForReady: a JSON number"},
		{js: second(`"maxRequestMessageBytes": "1"`), wrong: at + "maxRequestMessageBytes: a JSON string where a whole number is read"},
		{js: second(`"maxRequestMessageBytes": 1.5`), wrong: at + "maxRequestMessageBytes: a JSON number 1.5"},
		{js: second(`"maxRequestMessageBytes": 1e3`), wrong: at + "maxRequestMessageBytes: a JSON number 1e3"},
		{js: second(`"maxRequestMessageBytes": 9223372036854775808`), wrong: at + "maxRequestMessageBytes: a JSON number"},
		{js: second(`"maxResponseMessageBytes": true`), wrong: at + "maxResponseMessageBytes: a JSON bool"},
		{js: `{"methodConfig": [{"timeout": 1}]}`, wrong: "methodConfig[0].timeout: a JSON number"},
	}, right(
		method(""), method(`"unknown": 1`),
		`{"methodConfig": [null]}`, `{"methodConfig": [{}]}`, `{"methodConfig": [{}, {}, {"name": []}, {"name": null}]}`, `{"methodConfig": [{"name": [null]}]}`,
		`{"methodConfig": [{"name": [{"service": "s"}, {"service": "s", "method": "m"}, {}, {"service": "t"}]}]}`,
		`{"methodConfig": [{"name": [{"service": "s", "version": 1}]}]}`,
		`{"methodConfig": [{"name": [{"service": "a/b", "method": "c/d"}, {"service": "ü\u0000"}]}]}`,
		method(`"timeout": null, "waitForReady": null, "maxRequestMessageBytes": null, "maxResponseMessageBytes": null, "retryPolicy": null`),
		method(`"timeout": "0s"`), method(`"timeout": "-1s"`), method(`"timeout": "-0.5s"`), method(`"timeout": ".5s"`), method(`"timeout": "1.s"`),
		method(`"timeout": "00001.000000001s"`), method(`"timeout": "315576000000s"`), method(`"timeout": "-315576000000s"`), method(`"timeout": "315576000000.999999999s"`),
		method(`"timeout": "9223372036.854775807s"`), method(`"timeout": "9223372036.854775808s"`), method(`"timeout": "9223372037s"`),
		method(`"timeout": "-9223372036.854775808s"`), method(`"timeout": "-9223372036.854775809s"`), method(`"timeout": "-9223372036.5s"`),
		method(`"waitForReady": true`), method(`"waitForReady": false`),
		method(`"maxRequestMessageBytes": 0, "maxResponseMessageBytes": -1`), method(`"maxRequestMessageBytes": 9223372036854775807`),
	)...)
}

func retryConfigs() []sample {
	const at = "methodConfig[1].retryPolicy"
	list := []sample{
		{js: second(`"retryPolicy": []`), wrong: at + ": a JSON array where an object is read"},
		{js: second(`"retryPolicy": {}`), wrong: at + ".maxAttempts: 0 is less than 2"},
		{js: second(`"retryPolicy": ""`), wrong: at + ": a JSON string"},
		{js: `{"methodConfig": [{"retryPolicy": {}}]}`, wrong: "methodConfig[0].retryPolicy.maxAttempts: 0", stricter: true},
		{js: `{"methodConfig": [{"name": null, "retryPolicy": {"maxAttempts": 1}}]}`, wrong: "methodConfig[0].retryPolicy.maxAttempts: 1", stricter: true},
		{js: second(`"hedgingPolicy": {"maxAttempts": 1}`), wrong: "methodConfig[1].hedgingPolicy.maxAttempts: 1", stricter: true},
		{js: second(`"hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": 1}`), wrong: "methodConfig[1].hedgingPolicy.hedgingDelay: a JSON number", stricter: true},
		{js: second(`"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": [14], "hedgingDelay": "-1s"}`), wrong: "methodConfig[1].hedgingPolicy.hedgingDelay: -1s is negative", stricter: true},
		{js: second(`"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": ["NOPE"]}`), wrong: "methodConfig[1].hedgingPolicy.nonFatalStatusCodes[0]: ", stricter: true},
		{js: policy("maxAttempts", `3, "maxAttempts": 3`), wrong: at + ".maxAttempts: it is there twice", stricter: true},
	}
	for _, w := range []struct{ name, value, at string }{
		{"maxAttempts", "", ": 0 is less"}, {"maxAttempts", "1", ": 1 is less"}, {"maxAttempts", "-1", ": -1"}, {"maxAttempts", "2.0", ": a JSON number 2.0"}, {"maxAttempts", `"3"`, ": a JSON string"}, {"maxAttempts", "null", ": 0"},
		{"initialBackoff", "", ": it is required"}, {"initialBackoff", `"0s"`, ": 0s is not more than 0"}, {"initialBackoff", `"-1s"`, ": -1s"}, {"initialBackoff", "1", ": a JSON number"}, {"initialBackoff", `"1"`, `: "1" is no duration`}, {"initialBackoff", "null", ": it is required"},
		{"maxBackoff", "", ": it is required"}, {"maxBackoff", `"0s"`, ": 0s"}, {"maxBackoff", `"x"`, `: "x" is no`},
		{"backoffMultiplier", "", ": 0 is not more"}, {"backoffMultiplier", "0", ": 0"}, {"backoffMultiplier", "-1", ": -1"}, {"backoffMultiplier", `"2"`, ": a JSON string where a number"}, {"backoffMultiplier", "1e999", ": a JSON number"},
		{"retryableStatusCodes", "", ": it is required"}, {"retryableStatusCodes", "[]", ": it is required"}, {"retryableStatusCodes", `"UNAVAILABLE"`, ": a JSON string where an array"}, {"retryableStatusCodes", `["unavailable"]`, "[0]: "},
		{"retryableStatusCodes", `[14, "NOPE"]`, `[1]: "NOPE" is no status code`}, {"retryableStatusCodes", "[17]", "[0]: 17"}, {"retryableStatusCodes", "[-1]", "[0]: -1"}, {"retryableStatusCodes", "[14.0]", "[0]: "}, {"retryableStatusCodes", "[[]]", "[0]: "},
	} {
		list = append(list, sample{js: policy(w.name, w.value), wrong: at + "." + w.name + w.at})
	}
	return append(list, right(
		policy("", ""), policy("maxAttempts", "2"), policy("maxAttempts", "1000000"), policy("initialBackoff", `"0.000000001s"`),
		policy("maxBackoff", `"315576000000s"`), policy("backoffMultiplier", "0.5"), policy("backoffMultiplier", "1e-300"),
		policy("retryableStatusCodes", "[0, 1, 16]"), policy("retryableStatusCodes", `["OK", "CANCELLED", 14, "UNAVAILABLE", null]`),
		policy("retryableStatusCodes", `[14], "unknown": {}`),
		second(`"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": ["INTERNAL"], "hedgingDelay": "0.5s"}`),
	)...)
}
