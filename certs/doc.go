// Package certs makes TLS credentials of files that may change: certificates
// that are renewed every few weeks, or days, are used without a restart.
//
//	creds, err := certs.NewServer(certs.Config{
//		CertFile: "/run/certs/tls.crt",
//		KeyFile:  "/run/certs/tls.key",
//		CAFile:   "/run/certs/ca.crt", // clients have to show theirs, too
//		Changed:  func(err error) { log.Print("certificates: ", err) },
//	})
//	srv := weir.NewServer(weir.Creds(creds))
//
// The files are looked at when a connection is made, but not more often than
// Config.Every, and no goroutine waits for them to change. What is in them is
// then used for that connection and those after it; open connections go on as
// they are. A server that wants to see renewed certificates of its clients
// within some time gives connections an age, with the MaxConnectionAge of
// keepalive.ServerParameters.
//
// Files are rarely all replaced at the same moment. As long as they do not fit
// together, such as a new certificate and the old key, or a file breaks off,
// what was loaded before stays in use, and Config.Changed is told. A file that
// breaks off between two certificates looks whole: to write several, write
// another file and rename it. To change an authority, first put the new one
// into CAFile beside the old one, on both sides; then renew the certificates;
// then take the old one away.
//
// The credentials work with any Client and Server of weir, and of grpc-go.
package certs
