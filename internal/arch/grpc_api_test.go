package arch

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grpcDir is another release of grpc-go than the one that go.mod pins.
var grpcDir = flag.String("grpc", "", "check docs/migrating.md against the grpc-go in this `directory`")

// A grpcAPI is what grpc-go offers to programs that call and serve.
type grpcAPI struct {
	funcs       map[string]bool     // grpc.WithBlock, grpc.ClientConn.Close; true if deprecated
	callOptions []string            // grpc.HeaderCallOption
	interfaces  map[string][]string // stats.Handler -> TagRPC, …
	env         []string            // GRPC_ENFORCE_ALPN_ENABLED
}

// offered are the packages whose exported functions are to be known.
var offered = []string{"grpc", "experimental"}

// receivers are the types whose exported methods are.
var receivers = []string{"grpc.ClientConn", "grpc.Server", "grpc.PreparedMsg"}

// hosted are the packages whose interfaces weir calls or implements.
var hosted = []string{"grpc", "stats", "credentials", "resolver", "balancer", "encoding", "mem"}

// unhosted are interfaces of theirs for which that is not so, and why.
var unhosted = map[string]string{
	"grpc.DialOption":                   "opaque",
	"grpc.ServerOption":                 "opaque",
	"grpc.ServerStreamingClient":        "implemented by grpc.GenericClientStream",
	"grpc.ClientStreamingClient":        "implemented by grpc.GenericClientStream",
	"grpc.BidiStreamingClient":          "implemented by grpc.GenericClientStream",
	"grpc.ServerStreamingServer":        "implemented by grpc.GenericServerStream",
	"grpc.ClientStreamingServer":        "implemented by grpc.GenericServerStream",
	"grpc.BidiStreamingServer":          "implemented by grpc.GenericServerStream",
	"stats.RPCStats":                    "implemented by the events",
	"stats.ConnStats":                   "implemented by the events",
	"credentials.ChannelzSecurityInfo":  "for channelz",
	"credentials.ChannelzSecurityValue": "for channelz",
	"mem.Buffer":                        "implemented by mem",
}

func loadAPI(fsys fs.FS) (*grpcAPI, error) {
	api := &grpcAPI{funcs: make(map[string]bool), interfaces: make(map[string][]string)}
	for _, pkg := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(offered, hosted)))) {
		dir := pkg
		if pkg == "grpc" {
			dir = "."
		}
		files, err := fs.Glob(fsys, path.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range file.Decls {
				api.add(pkg, d)
			}
		}
	}
	files, err := fs.Glob(fsys, "internal/envconfig/*.go")
	if err != nil {
		return nil, err
	}
	loggers, err := fs.Glob(fsys, "grpclog/internal/*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range append(append(files, loggers...), "grpclog/loggerv2.go") {
		text, err := fs.ReadFile(fsys, name)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`"((?:GRPC|HTTPS?|NO)_[A-Z0-9_]+)"`).FindAllSubmatch(text, -1) {
			if name := string(m[1]); !strings.HasPrefix(name, "GRPC_TEST_") {
				api.env = append(api.env, name)
			}
		}
	}
	slices.Sort(api.callOptions)
	slices.Sort(api.env)
	api.env = slices.Compact(api.env)
	return api, nil
}

func (api *grpcAPI) add(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := pkg + "." + d.Name.Name
		if d.Recv != nil {
			recv := receiver(d)
			if d.Name.Name == "before" && ast.IsExported(recv) && recv != "EmptyCallOption" {
				api.callOptions = append(api.callOptions, pkg+"."+recv)
			}
			if !slices.Contains(receivers, pkg+"."+recv) {
				return
			}
			name = pkg + "." + recv + "." + d.Name.Name
		} else if !slices.Contains(offered, pkg) {
			return
		}
		if d.Name.IsExported() {
			api.funcs[name] = strings.Contains(d.Doc.Text(), "Deprecated:")
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() || !slices.Contains(hosted, pkg) {
				continue
			}
			if i, ok := spec.Type.(*ast.InterfaceType); ok && unhosted[pkg+"."+spec.Name.Name] == "" {
				api.interfaces[pkg+"."+spec.Name.Name] = methods(i)
			}
		}
	}
}

// receiver gives the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// methods gives the names that an interface lists. Those that it embeds are
// marks that forbid others to implement it, or listed as well.
func methods(i *ast.InterfaceType) (names []string) {
	for _, m := range i.Methods.List {
		for _, n := range m.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

// pinnedGRPC gives the source of grpc-go that the tests run against.
func pinnedGRPC(t *testing.T) fs.FS {
	t.Helper()
	dir := *grpcDir
	if dir == "" {
		dir = strings.TrimSpace(string(goCommand(t, "list", "-m", "-f", "{{.Dir}}", "google.golang.org/grpc")))
	}
	return os.DirFS(dir)
}
