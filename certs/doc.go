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
// The files are looked at when a connection is made, at most once a second, and
// no goroutine waits for them to change. What is in them then holds for that
// connection and those after it; connections that are open already go on as they
// are. A server that wants to see the new certificates of its clients within a
// time gives connections an age, with keepalive.ServerParameters.
//
// Files are rarely replaced all at the same moment. As long as what is in them
// does not fit together, such as a new certificate and the old key, or breaks off,
// what was loaded before is used on, and Config.Changed is told. That a file is
// half written cannot be seen between two certificates: who writes several writes
// them to another file and renames it. To change an authority, put the new one
// into CAFile beside the old one first, on both sides, then renew the certificates,
// and take the old one away in the end.
//
// The credentials work with any Client and Server of weir, and of grpc-go.
package certs
