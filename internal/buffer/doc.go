// Package buffer lends byte slices and takes them back.
//
// Who gets a buffer owns it, may change the length of the slice behind the
// pointer and let it grow, and returns the pointer once with Put; from then on
// nobody may touch it. A buffer that is not returned is garbage like any other
// slice, no more.
package buffer
