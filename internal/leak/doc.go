// Package leak makes what a test leaves behind a failure: goroutines, and
// buffers that nobody returned to their pool.
//
// Each package with tests has one TestMain:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// A test that wants to know about itself alone uses [Check] and [Pool].
package leak
