package channel

import (
	"sync"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/keepalive"
)

// keepalives gives the keepalive of each connection. It calms down when a server
// complains, for all connections that follow.
type keepalives struct {
	mu   sync.Mutex
	next keepalive.ClientParameters // guarded by mu
}

func (k *keepalives) get() keepalive.ClientParameters {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.next
}

// calm says that a server got too many PING frames on a connection with this
// Time in effect.
func (k *keepalives) calm(used time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = transport.Calmer(k.next, used)
}
