// Package screen writes what the commands show: with colour and progress on a
// terminal, as plain lines elsewhere.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// The sixteen colours that a terminal's theme chooses.
var (
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	good  = lipgloss.NewStyle().Foreground(lipgloss.Green)
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
)

// Screen is where a command writes. It is for one goroutine. Errors of writing
// are dropped, as nobody is left to be told.
type Screen struct {
	raw      io.Writer
	out      io.Writer // without colour where there is none
	terminal bool
}

// New makes a screen of out, which is a terminal or not. Of the environment it
// takes NO_COLOR, TERM and the like.
func New(out io.Writer, environ []string) *Screen {
	f, ok := out.(*os.File)
	return &Screen{
		raw:      out,
		out:      colorprofile.NewWriter(out, environ),
		terminal: ok && term.IsTerminal(int(f.Fd())),
	}
}

// Title writes what runs and what it consists of.
func (s *Screen) Title(name string, parts ...string) {
	fmt.Fprintf(s.out, "%s  %s\n\n", bold.Render(name), faint.Render(strings.Join(parts, " · ")))
}

// Line writes a line as it is.
func (s *Screen) Line(text string) { fmt.Fprintln(s.out, text) }

// Verdict writes the last line.
func (s *Screen) Verdict(ok bool, text string) {
	if ok {
		fmt.Fprintf(s.out, "%s %s\n", good.Render("✓"), text)
		return
	}
	fmt.Fprintf(s.out, "%s %s\n", bad.Render("✗"), text)
}

// Problem writes what was expected and what came.
func (s *Screen) Problem(title, what, want, got string) {
	fmt.Fprintf(s.out, "%s %s\n", bad.Render("✗"), bold.Render(title))
	for _, line := range [][2]string{{"of", what}, {"expected", want}, {"came", got}} {
		if line[1] != "" {
			fmt.Fprintf(s.out, "  %s %s\n", faint.Render(fmt.Sprintf("%-8s", line[0])), line[1])
		}
	}
	fmt.Fprintln(s.out)
}
