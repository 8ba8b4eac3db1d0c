package arch

import (
	"fmt"
	"go/ast"
)

// still: floor 0 starts no goroutine and reads no clock.
func still(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		if floor, ok := floors[p.name]; !ok || floor != 0 {
			continue
		}
		for _, s := range p.code() {
			for _, n := range s.uses("time", "time", "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick") {
				faults = append(faults, fmt.Sprintf("%s reads a clock or waits for one: on floor 0, now is an argument", s.at(n)))
			}
			ast.Inspect(s.ast, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					faults = append(faults, fmt.Sprintf("%s starts a goroutine: floor 0 has none", s.at(n)))
				}
				return true
			})
		}
	}
	return faults
}

// sleepers may call time.Sleep.
var sleepers = map[string]string{
	"internal/simnet/advance.go": "lets fake time pass, in a synctest bubble only",
}

// awake: nobody sleeps.
func awake(t *tree) (faults []string) {
	for _, s := range t.files {
		if _, ok := sleepers[s.name]; ok {
			continue
		}
		for _, n := range s.uses("time", "time", "Sleep") {
			faults = append(faults, fmt.Sprintf("%s sleeps: wait for what has to happen, or call simnet.Advance in a synctest bubble", s.at(n)))
		}
	}
	return faults
}

// replaced: code of the root module makes no server of grpc's, and clients in
// one file at most: the bridge to what only grpc's own channel can do.
func replaced(t *tree) (faults []string) {
	var bridge string
	for _, p := range t.pkgs {
		for _, s := range p.code() {
			for _, n := range s.uses("google.golang.org/grpc", "grpc", "NewServer") {
				faults = append(faults, fmt.Sprintf("%s makes a grpc.Server: weir takes its place", s.at(n)))
			}
			for _, n := range s.uses("google.golang.org/grpc", "grpc", "NewClient", "Dial", "DialContext") {
				if bridge != "" && bridge != s.name {
					faults = append(faults, fmt.Sprintf("%s makes a grpc.ClientConn, as does %s: one file at most does", s.at(n), bridge))
				}
				bridge = s.name
			}
		}
	}
	return faults
}
