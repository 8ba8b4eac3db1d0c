package screen

import (
	"fmt"
	"strings"
)

// Figure is a row of a comparison.
type Figure struct {
	Name string

	// Subject and Baseline are as they are shown.
	Subject, Baseline string

	// Ratio is the baseline's value over the subject's, zero if unknown.
	Ratio float64
}

// Comparison writes a table of the figures, each with how many times less or
// more the subject's is, and a note below.
func (s *Screen) Comparison(title, subject, baseline string, figures []Figure, note string) {
	fmt.Fprintf(s.out, "%s\n\n", title)
	line := func(name, left, right, ratio string) string {
		return strings.TrimRight(padRight(name, callWidth)+padLeft(left, 16)+padLeft(right, 16)+padLeft(ratio, 15), " ")
	}
	fmt.Fprintln(s.out, faint.Render(line("", subject, baseline, subject+" has")))
	for _, f := range figures {
		fmt.Fprintln(s.out, line(f.Name, f.Subject, f.Baseline, times(f.Ratio)))
	}
	fmt.Fprintf(s.out, "%s\n\n", faint.Render(note))
}

// times tells the ratio from the subject's side.
func times(baselineOverSubject float64) string {
	switch r := baselineOverSubject; {
	case r <= 0:
		return "?"
	case r > 0.95 && r < 1.05:
		return "the same"
	case r >= 1:
		return fmt.Sprintf("%.1f× less", r)
	default:
		return fmt.Sprintf("%.1f× more", 1/r)
	}
}

// Count is n with its thousands apart.
func Count(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
