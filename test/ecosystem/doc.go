// Package ecosystem has no code: its tests run weir with libraries that its
// users already have, as they are published.
package ecosystem
