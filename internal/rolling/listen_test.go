package rolling

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// Who has the address gives it up, or does not before the end of the context.
func TestListen(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if lis, err := Listen(ctx, other.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address that is taken: %v, %v", lis, err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = other.Close() })
	lis, err := Listen(t.Context(), other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = lis.Close()
}
