package serviceconfig

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Chooser reads the service configs that DNS has for a name, of which clients
// choose one. It draws for the percentage of each choice once, so that a client
// goes over to another config when the choices change, and not by itself.
//
// https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md
type Chooser struct {
	drawn []float64 // of the choices in their order
}

// attribute begins the TXT record that has the choices.
const attribute = "grpc_config="

// language is what a choice calls clients like this.
const language = "go"

// Choose gives the service config among TXT records that is for a client on the
// host of that name: empty if there is none. draw gives numbers in [0, 1). What is
// wrong with one choice is wrong with them all.
func (c *Chooser) Choose(records []string, hostname string, draw func() float64) (js string, err error) {
	var text *string
	for _, r := range records {
		if r, ok := strings.CutPrefix(r, attribute); ok {
			if text != nil {
				return "", fmt.Errorf("there are several that begin with %q, and one is to have all choices", attribute)
			}
			text = &r
		}
	}
	if text == nil {
		return "", nil
	}
	if !json.Valid([]byte(*text)) {
		return "", fmt.Errorf("what follows %q is no JSON, or no more whole: %.100q", attribute, *text)
	}
	var list []json.RawMessage
	if err := read("", json.RawMessage(*text), &list); err != nil {
		return "", fmt.Errorf("what follows %q is no JSON list of choices", attribute)
	}
	for i, one := range list {
		if len(c.drawn) == i {
			c.drawn = append(c.drawn, draw())
		}
		config, fits, err := c.choice(i, one, hostname)
		if err != nil {
			return "", err
		}
		if fits && js == "" {
			js = string(config)
		}
	}
	return js, nil
}

// choice reads one, and reports whether it is for this client.
func (c *Chooser) choice(i int, js json.RawMessage, hostname string) (config json.RawMessage, fits bool, err error) {
	at := fmt.Sprintf("[%d]", i)
	var languages, percentage, hosts json.RawMessage
	unknown, err := object(at, js,
		field{"clientLanguage", &languages}, field{"percentage", &percentage}, field{"clientHostname", &hosts}, field{"serviceConfig", &config})
	if err != nil {
		return nil, false, err
	}
	if unknown != "" {
		return nil, false, fmt.Errorf("%s.%s: a choice has no such field", at, unknown)
	}
	fits = true
	var names []string
	if err := read(at+".clientLanguage", languages, &names); err != nil {
		return nil, false, err
	}
	if len(names) > 0 {
		fits = slices.ContainsFunc(names, func(s string) bool { return strings.EqualFold(s, language) })
	}
	names = nil
	if err := read(at+".clientHostname", hosts, &names); err != nil {
		return nil, false, err
	}
	if len(names) > 0 {
		fits = fits && slices.Contains(names, hostname)
	}
	share, err := readOptional[int](at+".percentage", percentage)
	if err != nil {
		return nil, false, err
	}
	if share != nil {
		if *share < 0 || *share > 100 {
			return nil, false, fmt.Errorf("%s.percentage: %d is not in 0 to 100", at, *share)
		}
		fits = fits && c.drawn[i]*100 < float64(*share)
	}
	if kindOf(config) != "object" {
		return nil, false, fmt.Errorf("%s.serviceConfig: it is required, and an object", at)
	}
	return config, fits, nil
}
