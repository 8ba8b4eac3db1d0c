// Package pool shares Clients. A program that talks to many targets, some of
// them now and then, gets the Client of a target while it needs it, and the
// pool keeps as many as it may for later.
//
// A program with a few targets needs no pool. One Client carries any number of
// calls at a time, and connects, reconnects and goes idle by itself.
//
//	p := pool.New(pool.Config{MaxClients: 50})
//	defer p.Close()
//	internal := pool.NewProfile(weir.WithTransportCredentials(creds))
//	…
//	c, err := p.Get(ctx, "dns:///tenant-17:443", internal)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	reply, err := pb.NewEchoClient(c).Echo(ctx, request)
//
// A Client is in use from Get to Conn.Close, and as long as a call of it runs.
// While it is in use only ConnectionPool.Close closes it. Of the others, the
// least recently used one makes room when the pool is full, and each is closed
// after Config.IdleTimeout.
package pool
