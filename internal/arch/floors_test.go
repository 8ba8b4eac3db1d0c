package arch

import (
	"fmt"
	"slices"
)

// testFloor is for packages that tests alone may import.
const testFloor = -1

// floors says where each package of the root module stands; see
// ARCHITECTURE.md. A package may import those below it.
var floors = map[string]int{
	// Values: octets, numbers, a now that is given.
	"internal/frame":         0,
	"internal/serviceconfig": 0,
	"internal/flow":          0,
	"internal/liveness":      0,
	"internal/grpcwire":      0,

	// Memory, locks, order.
	"internal/buffer": 1,
	"internal/gate":   1,
	"internal/wait":   1,
	"internal/field":  1,
	"internal/sched":  1,
	"inspect":         1,

	// gRPC streams over one connection.
	"transport": 2,

	// Sinks of entries, which know no call.
	"binarylog": 2,

	// Addresses and connections.
	"internal/channel": 3,
	"internal/binlog":  3,
	"internal/balance": 3,

	// What transports other than HTTP/2's share.
	"internal/serverstream": 3,

	// Calls.
	".": 4,

	// What stands beside calls, and is optional.
	"tuning":    5,
	"pool":      5,
	"channelz":  5,
	"grpcconn":  5,
	"inproc":    5,
	"certs":     5,
	"servehttp": 5,

	"internal/allocs":  testFloor,
	"internal/arch":    testFloor,
	"internal/h2peer":  testFloor,
	"internal/leak":    testFloor,
	"internal/rolling": testFloor,
	"internal/simnet":  testFloor,
}

// callFloor is the first that may know grpc's root package.
const callFloor = 4

// placed: every package has a floor.
func placed(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		if _, ok := floors[p.name]; !ok {
			faults = append(faults, fmt.Sprintf("%s stands on no floor: "+
				"add it to the table floors in internal/arch/floors_test.go and to ARCHITECTURE.md, on the lowest floor that its imports allow", p.name))
		}
	}
	return faults
}

// downward: code imports packages of lower floors only, and none for tests.
func downward(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		own, ok := floors[p.name]
		if !ok {
			continue // see placed
		}
		for _, s := range p.code() {
			for _, path := range s.imports() {
				name, ok := within(path)
				if !ok {
					continue
				}
				other, ok := floors[name]
				switch {
				case !ok:
					continue
				case own == testFloor && other <= 1:
				case own == testFloor:
					faults = append(faults, fmt.Sprintf("%s imports %s of floor %d: packages for tests import each other and floors 0 and 1, so that all tests can import them", s.name, name, other))
				case other == testFloor:
					faults = append(faults, fmt.Sprintf("%s imports %s, which is for tests alone", s.name, name))
				case other >= own:
					faults = append(faults, fmt.Sprintf("%s of floor %d imports %s of floor %d: imports go down only", s.name, own, name, other))
				}
			}
		}
	}
	return faults
}

// A ban is on imports by the packages that it is for.
type ban struct {
	is   func(pkg string, floor int) bool
	of   []string
	rule string
}

// bans are about direct imports of code; see reached for the others.
var bans = []ban{
	{is: onFloor(0), of: []string{"sync", "sync/atomic", "context"}, rule: "floor 0 is values: who calls it has the locks"},
	{is: onFloor(0, 1), of: []string{"net", "os", "syscall", "golang.org/x/sys/unix"}, rule: "floors 0 and 1 know no socket"},
	{is: onFloor(0, 1, 2, 3, 4), of: []string{"testing", "testing/synctest"}, rule: "code does not import what is for tests"},
	{is: onFloor(0, 1, 2, 3), of: []string{"google.golang.org/grpc"}, rule: "grpc's root package is known from the root package up"},
	{
		is:   func(pkg string, _ int) bool { return pkg == "internal/h2peer" },
		of:   []string{module + "/internal/frame", module + "/internal/field"},
		rule: "the scripted peer stands on a foreign codec, so that no fault of ours hides itself",
	},
}

func onFloor(some ...int) func(string, int) bool {
	return func(_ string, floor int) bool { return slices.Contains(some, floor) }
}

// allowed: no package imports what its floor must not know.
func allowed(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		floor, ok := floors[p.name]
		if !ok {
			continue
		}
		for _, b := range bans {
			if !b.is(p.name, floor) {
				continue
			}
			for _, s := range p.code() {
				for _, path := range b.of {
					if s.importsPath(path) {
						faults = append(faults, fmt.Sprintf("%s imports %s: %s", s.name, path, b.rule))
					}
				}
			}
		}
	}
	return faults
}
