package weir

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// WithPerRPCCredentials adds credentials that put metadata on each call, a
// token for example. Several of them add up, and so do those of the call itself
// (grpc.PerRPCCredentials). GetRequestMetadata is called for each call, with
// the call's context, in which credentials.RequestInfoFromContext finds the
// method and the connection. If it gives an error with a status, that is the
// call's, as far as gRFC A54 allows; another error fails the call with
// UNAUTHENTICATED.
//
// NewClient fails if they require transport security and there is none.
func WithPerRPCCredentials(creds credentials.PerRPCCredentials) DialOption {
	return dialOption(func(c *clientConfig) { c.perRPC = append(c.perRPC, creds) })
}

const wantSecurity = "use WithTransportCredentials with credentials that encrypt, such as credentials.NewTLS"

// checkPerRPC says what keeps the credentials for calls from being sent.
func (c *clientConfig) checkPerRPC() error {
	for _, p := range c.perRPC {
		if p == nil {
			return errors.New("weir: WithPerRPCCredentials(nil): leave it out if calls need no credentials")
		}
		if p.RequireTransportSecurity() && c.creds.Info().SecurityProtocol == "insecure" {
			return fmt.Errorf("weir: the credentials %T of WithPerRPCCredentials require transport security, and WithTransportCredentials says that there is none: %s", p, wantSecurity)
		}
	}
	return nil
}

// depends reports whether a call needs to be authorized.
func (c *Client) depends(info *callInfo, call *transport.Call, p *channel.Pick) bool {
	if info.creds != nil || call.Authority != "" || len(c.perRPC) > 0 {
		return true
	}
	own, _ := p.PerRPC()
	return own != nil
}

// credentialsFor gives those that go with a call by themselves: where the balancer
// has chosen another bundle, that one's in the place of the Client's.
func (c *Client) credentialsFor(p *channel.Pick) (all []credentials.PerRPCCredentials, own credentials.PerRPCCredentials) {
	own, bundled := p.PerRPC()
	if bundled {
		return c.perRPC[:len(c.perRPC)-c.bundled], own
	}
	return c.perRPC, nil
}

// authorize completes a call for the connection that it is about to use: who is
// at its other end has to be who the call is for, and the credentials for calls
// add to md, the caller's metadata, which stays as it is.
func (c *Client) authorize(ctx context.Context, tr transport.ClientTransport, info *callInfo, call *transport.Call, pick *channel.Pick, md metadata.MD) error {
	auth, host := tr.Peer().AuthInfo, c.authorityOf(call, tr)
	if call.Authority != "" {
		by := "grpc.CallAuthority"
		if info.authority == "" {
			by = "the balancer's :authority"
		}
		if err := checkAuthority(auth, by, call.Authority); err != nil {
			return err
		}
	}
	all, own := c.credentialsFor(pick)
	if info.creds == nil && len(all) == 0 && own == nil {
		return nil
	}
	ctx = credentials.NewContextWithRequestInfo(ctx, credentials.RequestInfo{Method: call.Method, AuthInfo: auth})
	g := grant{auth: auth, audience: audience(host, call.Method), md: make(metadata.MD, len(md)+2)}
	for _, p := range all {
		if err := g.add(ctx, p); err != nil {
			return err
		}
	}
	for _, p := range []credentials.PerRPCCredentials{own, info.creds} {
		if p == nil {
			continue
		}
		if err := g.add(ctx, p); err != nil {
			return err
		}
	}
	for k, vs := range md {
		g.md[k] = append(g.md[k], vs...)
	}
	call.Metadata = g.md
	return nil
}

// checkAuthority lets a call name another :authority than that of the
// connection if the server has shown that it is that one too. Otherwise a call
// could be sent to a name for which nobody has seen a certificate. The error says
// by whom the name is.
func checkAuthority(auth credentials.AuthInfo, by, name string) error {
	v, ok := auth.(credentials.AuthorityValidator)
	if !ok {
		return status.Errorf(codes.Unavailable, "%s(%q): the transport credentials cannot tell whether the server may go by that name (%T is no credentials.AuthorityValidator)", by, name, auth)
	}
	if err := v.ValidateAuthority(name); err != nil {
		return status.Errorf(codes.Unavailable, "%s(%q): the server may not go by that name: %v", by, name, err)
	}
	return nil
}

// audience is the URI of the service that a call is for. The default port of
// https is left out.
func audience(host, method string) string {
	service := method
	if i := strings.LastIndexByte(method, '/'); i >= 0 {
		service = method[:i]
	}
	return "https://" + strings.TrimSuffix(host, ":443") + service
}

// grant is what credentials give for one call.
type grant struct {
	auth     credentials.AuthInfo
	audience string
	md       metadata.MD
}

func (g *grant) add(ctx context.Context, p credentials.PerRPCCredentials) error {
	if p.RequireTransportSecurity() {
		if err := credentials.CheckSecurityLevel(g.auth, credentials.PrivacyAndIntegrity); err != nil {
			return status.Errorf(codes.Unauthenticated, "the credentials %T are not sent over a connection that is not secure: %v: %s", p, err, wantSecurity)
		}
	}
	data, err := p.GetRequestMetadata(ctx, g.audience)
	if err != nil {
		return credentialsError(ctx, p, err)
	}
	for k, v := range data {
		k = strings.ToLower(k)
		if grpcwire.Reserved(k) {
			return status.Errorf(codes.Internal, "the credentials %T give metadata with the key %q, which gRPC keeps for itself", p, k)
		}
		if err := grpcwire.ValidateMetadata(metadata.MD{k: {v}}); err != nil {
			return status.Errorf(codes.Internal, "the credentials %T give what cannot be sent: %v", p, err)
		}
		g.md[k] = append(g.md[k], v)
	}
	return nil
}

// credentialsError is how a call ends whose credentials have failed.
func credentialsError(ctx context.Context, p credentials.PerRPCCredentials, err error) error {
	st, ok := status.FromError(err)
	switch {
	case ok && forServers(st.Code()):
		return status.Errorf(codes.Internal, "the credentials %T fail with a code that is not theirs to give (gRFC A54): %v", p, err)
	case ok:
		return st.Err()
	case ctx.Err() != nil:
		return status.Errorf(status.FromContextError(ctx.Err()).Code(), "the call ended while it waited for the credentials %T: %v", p, err)
	}
	return status.Errorf(codes.Unauthenticated, "the credentials %T fail: %v", p, err)
}

// forServers reports whether a code speaks of what the server did, which
// credentials cannot know.
//
// https://github.com/grpc/proposal/blob/master/A54-restrict-control-plane-status-codes.md
func forServers(c codes.Code) bool {
	switch c {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition,
		codes.Aborted, codes.OutOfRange, codes.DataLoss:
		return true
	}
	return false
}
