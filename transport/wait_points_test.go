package transport

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// waitPoints are the places where a call can wait: all of them pass through
// wait.For, and each says for what it waits.
var waitPoints = map[string]int{
	"transport NewHTTP2Client: wait.Connect":            1, // the server's SETTINGS
	"transport slots.wait: reason":                      1, // a slot, or the socket
	"transport SlotPool.Wait: wait.StreamSlot":          1,
	"transport stream.waitQuotaLocked: reason":          1, // write quota, a window, or the socket: what holds the queue up
	"transport stream.recv: wait.Peer":                  1,
	"transport conn.sendPing: wait.Peer":                1,
	"transport http2ClientStream.waitHeader: wait.Peer": 1,
	"transport http2Client.RoundTrip: wait.Peer":        2, // the answer; the end that the reader has decided on
	"internal/channel Channel.await: wait.Connect":      1,
	"internal/channel hosted.await: wait.Resolve":       1,
}

// channelOps are the places that receive from a channel or send to one
// otherwise, and why that is no call's wait.
var channelOps = map[string]string{
	"transport NewHTTP2Client":             "the connection has failed and ends now",
	"transport NewServerTransport":         "the connection has failed and ends now",
	"transport conn.close":                 "Close waits for the end",
	"transport http2Client.leaveLocked":    "does not wait: has a default",
	"transport http2Server.takeStreams":    "does not wait: has a default",
	"transport http2Server.HandleStreams":  "returns at the end of the connection",
	"transport http2Server.hasHandler":     "a handler that waits for HandleStreams",
	"transport Workers.loop":               "a worker without work",
	"transport Workers.run":                "does not wait: the worker's channel has room for it",
	"transport standardContext.end":        "a timer that is due",
	"transport http2ServerStream.err":      "the end that somebody has decided on",
	"internal/channel dialer.dial":         "an attempt to connect, which calls wait for in Channel.await",
	"internal/channel hosted.list":         "the addresses of an attempt to connect",
	"internal/channel pickFirst.pause":     "the time between two attempts",
	"internal/channel pickFirst.proven":    "the server's SETTINGS, for which early calls do not wait",
	"internal/channel pickFirst.ends":      "the end of a connection",
	"internal/channel round.run":           "an attempt to connect",
	"internal/channel round.try":           "the same",
	"internal/channel lister.run":          "the time between two lookups",
	"internal/channel lister.due":          "the time between two lookups",
	"internal/channel txt.look":            "the lookup of a service config, for an attempt to connect",
	"internal/channel single.pick":         "does not wait: has a default",
	"internal/channel subchannel.isOver":   "does not wait: has a default",
	"internal/channel subchannel.pause":    "the time until another connection is made",
	"internal/channel states.wait":         "WaitForStateChange",
	"internal/balance account.sum":         "does not wait: has a default",
	"internal/balance Host.Update":         "a resolver, for the balancer's answer",
	"internal/balance queue.close":         "Close waits for the end",
	"internal/balance subConn.Transport":   "does not wait: has a default",
	"internal/balance subConn.run":         "the time between two attempts",
	"internal/balance child.hold":          "what becomes of attempts that were made early",
	"internal/balance subConn.used":        "does not wait: has a default",
	"internal/balance subConn.check":       "the time between two checks of health",
	"internal/balance subConn.try":         "the end of a connection, until it is known who has it",
	"internal/channel subchannel.another":  "gives the turn back",
	"internal/channel subchannel.renew":    "the same",
	"internal/channel subchannel.takeTurn": "another connection that is being made",
}

// found is what a package's source has.
type found struct {
	waits    map[string]int
	channels map[string]bool
}

// inspect looks through a function for waits and for what is done to channels.
func (f *found) inspect(fset *token.FileSet, where string, body ast.Node) {
	harmless := map[*ast.SendStmt]bool{}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "For" || fmt.Sprint(sel.X) != "wait" {
				break
			}
			var reason strings.Builder
			_ = printer.Fprint(&reason, fset, n.Args[1])
			f.waits[where+": "+reason.String()]++
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				f.channels[where] = true
			}
		case *ast.SendStmt:
			if !harmless[n] {
				f.channels[where] = true
			}
		case *ast.SelectStmt:
			for _, c := range n.Body.List {
				if send, ok := c.(*ast.CommClause).Comm.(*ast.SendStmt); ok && hasDefault(n) {
					harmless[send] = true
				}
			}
		}
		return true
	})
}

func hasDefault(s *ast.SelectStmt) bool {
	return slices.ContainsFunc(s.Body.List, func(c ast.Stmt) bool { return c.(*ast.CommClause).Comm == nil })
}

// name gives a function's name with its receiver's type.
func name(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	return fmt.Sprint(t) + "." + d.Name.Name
}

// A call waits in known places only, and says for what.
func TestWaitPoints_AreTheOnesInTheTable(t *testing.T) {
	got := found{waits: map[string]int{}, channels: map[string]bool{}}
	for pkg, dir := range map[string]string{"transport": ".", "internal/channel": "../internal/channel", "internal/balance": "../internal/balance"} {
		fset := token.NewFileSet()
		files, err := filepath.Glob(filepath.FromSlash(dir + "/*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has %d files: %v", dir, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				where := pkg + " a variable"
				if fn, ok := d.(*ast.FuncDecl); ok {
					where = pkg + " " + name(fn)
				}
				got.inspect(fset, where, d)
			}
		}
	}
	for _, w := range slices.Sorted(maps.Keys(got.waits)) {
		if got.waits[w] != waitPoints[w] {
			t.Errorf("%s: %d calls of wait.For, the table has %d", w, got.waits[w], waitPoints[w])
		}
	}
	for _, w := range slices.Sorted(maps.Keys(waitPoints)) {
		if got.waits[w] == 0 {
			t.Errorf("%s is in the table and nowhere else", w)
		}
	}
	for _, w := range slices.Sorted(maps.Keys(got.channels)) {
		if _, ok := channelOps[w]; !ok {
			t.Errorf("%s uses a channel: let it call wait.For, or say in the table why it need not", w)
		}
	}
	for _, w := range slices.Sorted(maps.Keys(channelOps)) {
		if !got.channels[w] {
			t.Errorf("%s is in the table and uses no channel", w)
		}
	}
}
