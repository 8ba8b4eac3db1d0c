// Package rolling keeps up a steady load of calls while servers, which are
// processes, are restarted or killed, and tells which calls failed and how long
// the others took.
//
// It knows no client and no server: a [Load] has a function that makes one call,
// and a [Process] runs what the package of the test gave to [Main].
package rolling
