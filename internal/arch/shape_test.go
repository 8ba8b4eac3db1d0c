package arch

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

const mostLines = 500

// longFiles may have more lines, each for its reason.
var longFiles = map[string]string{}

// short: one concept a file, which 500 lines are enough for.
func short(t *tree) (faults []string) {
	for _, s := range t.files {
		if _, ok := longFiles[s.name]; ok || s.generated || s.lines <= mostLines {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s has %d lines, where %d are the most: split it by concept, or give its reason in longFiles of internal/arch/shape_test.go", s.name, s.lines, mostLines))
	}
	return faults
}

// leaky packages have tests without leak.Main, each for its reason.
var leaky = map[string]string{}

// tight: packages with tests fail if their tests leave something behind.
func tight(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		if _, ok := leaky[p.name]; ok || len(p.tests()) == 0 {
			continue
		}
		if !callsLeakMain(p) {
			faults = append(faults, fmt.Sprintf("%s has tests and no leak.Main: add func TestMain(m *testing.M) { leak.Main(m) }, or a reason to leaky in internal/arch/shape_test.go", p.name))
		}
	}
	return faults
}

func callsLeakMain(p *pkg) bool {
	for _, s := range p.tests() {
		for _, decl := range s.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || fn.Name.Name != "TestMain" {
				continue
			}
			local := s.local(module+"/internal/leak", "leak")
			calls := false
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				switch f := call.Fun.(type) {
				case *ast.SelectorExpr:
					x, ok := f.X.(*ast.Ident)
					calls = calls || ok && local != "" && x.Name == local && f.Sel.Name == "Main"
				case *ast.Ident:
					calls = calls || p.name == "internal/leak" && f.Name == "Main"
				}
				return true
			})
			return calls
		}
	}
	return false
}

// vague words say nothing about what is in a package, file or type.
var vague = regexp.MustCompile(`(?i)^(utils?|helpers?|managers?|common|misc)$`)

// camelWord finds the words of a name in camel case.
var camelWord = regexp.MustCompile(`[A-Z]?[a-z0-9]+|[A-Z]+`)

// named: names are those of the RFCs, gRPC or Go.
func named(t *tree) (faults []string) {
	for _, s := range t.files {
		words := strings.FieldsFunc(strings.TrimSuffix(s.name, ".go"), func(r rune) bool { return r == '/' || r == '_' || r == '-' })
		for _, w := range words {
			if vague.MatchString(w) {
				faults = append(faults, fmt.Sprintf("%s is named %q: name what it is about", s.name, w))
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || s.generated {
				return true
			}
			for _, w := range camelWord.FindAllString(spec.Name.Name, -1) {
				if vague.MatchString(w) {
					faults = append(faults, fmt.Sprintf("%s: type %s is named %q: name what it is about", s.at(spec), spec.Name.Name, w))
				}
			}
			return true
		})
	}
	return faults
}

var (
	rfcLink = regexp.MustCompile(`https://www\.rfc-editor\.org/rfc/rfc[0-9]+(?:\.html)?#[A-Za-z0-9.-]*[A-Za-z0-9]`)
	must    = regexp.MustCompile(`\bMUST\b`)
)

// quoted gives the links of a comment that say where a MUST is from: for each
// MUST the next link, or the last one if none follows. Further links in a row
// are places that say the same.
func quoted(comment string) map[string]bool {
	links := rfcLink.FindAllStringIndex(comment, -1)
	sources := make(map[string]bool)
	for _, m := range must.FindAllStringIndex(comment, -1) {
		for i, l := range links {
			if l[0] > m[0] || i == len(links)-1 {
				sources[comment[l[0]:l[1]]] = true
				break
			}
		}
	}
	return sources
}

// proven: where code quotes a MUST, a test of its package links the paragraph.
// A package without any test waits for its first.
func proven(t *tree) (faults []string) {
	for _, p := range t.pkgs {
		if len(p.tests()) == 0 {
			continue
		}
		linked := make(map[string]bool)
		for _, s := range p.tests() {
			for _, group := range s.ast.Comments {
				for _, link := range rfcLink.FindAllString(group.Text(), -1) {
					linked[link] = true
				}
			}
		}
		for _, s := range p.code() {
			for _, group := range s.ast.Comments {
				for link := range quoted(group.Text()) {
					if !linked[link] {
						faults = append(faults, fmt.Sprintf(
							"%s quotes a MUST of %s, which no test of %s links: put the link above the test that proves it", s.at(group), link, p.name))
					}
				}
			}
		}
	}
	return faults
}

// current: exemptions go when nothing needs them any more.
func current(t *tree) (faults []string) {
	needed := make(map[string]bool)
	for _, s := range t.files {
		needed[s.name] = s.lines > mostLines || len(s.uses("time", "time", "Sleep")) > 0
	}
	for _, table := range []map[string]string{longFiles, sleepers} {
		for name := range table {
			if !needed[name] {
				faults = append(faults, name+" is exempt from a rule of internal/arch that it does not break: take it out")
			}
		}
	}
	for _, p := range t.pkgs {
		if _, ok := leaky[p.name]; ok && callsLeakMain(p) {
			faults = append(faults, "leaky of internal/arch/shape_test.go has "+p.name+", which calls leak.Main: take it out")
		}
	}
	return faults
}
