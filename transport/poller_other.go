//go:build !linux

package transport

import "syscall"

type poller struct{}

func (*poller) sleep(syscall.RawConn, sleeper) uint32 { return 0 }
func (*poller) cancel(uint32) bool                    { return false }
