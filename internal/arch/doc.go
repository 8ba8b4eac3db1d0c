// Package arch holds the structure of weir as tests: which package stands on
// which floor, what each floor may know, and what every file is held to. It
// has no code but its tests.
//
// A failure names the file or package, the rule, and the table to change where
// the rule is what should give way.
package arch
