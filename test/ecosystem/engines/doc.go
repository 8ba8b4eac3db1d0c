// Package engines has no code: its tests find servers through what finds them in
// production, a real etcd server and a real DNS server, and restart them meanwhile.
//
// They need Linux, where all of 127.0.0.0/8 is this machine: servers have addresses
// of their own, with one port, and nobody takes the port while they are restarted.
package engines
