package controlplane

import (
	"maps"
	"slices"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	faultcommonpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	routerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherpb "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// faultFilter is the name by which routes override the filter.
const faultFilter = "fault"

// manager has the filters, the router last, and the routes or the way to them.
func (l *Listener) manager() (*hcmpb.HttpConnectionManager, error) {
	configs := map[string]proto.Message{"router": &routerpb.Router{}}
	names := []string{"router"}
	if l.Fault != nil {
		configs[faultFilter] = l.Fault.filter()
		names = []string{faultFilter, "router"}
	}
	maps.Copy(configs, l.Filters)
	names = append(slices.Sorted(maps.Keys(l.Filters)), names...)
	packed, err := pack(configs)
	if err != nil {
		return nil, err
	}
	out := &hcmpb.HttpConnectionManager{}
	for _, name := range names {
		out.HttpFilters = append(out.HttpFilters, &hcmpb.HttpFilter{
			Name: name, ConfigType: &hcmpb.HttpFilter_TypedConfig{TypedConfig: packed[name]},
		})
	}
	if l.MaxStreamDuration > 0 {
		out.CommonHttpProtocolOptions = &corepb.HttpProtocolOptions{MaxStreamDuration: durationpb.New(l.MaxStreamDuration)}
	}
	if l.RouteName != "" {
		out.RouteSpecifier = &hcmpb.HttpConnectionManager_Rds{Rds: &hcmpb.Rds{ConfigSource: fromADS(), RouteConfigName: l.RouteName}}
		return out, nil
	}
	routes, err := l.routes()
	out.RouteSpecifier = &hcmpb.HttpConnectionManager_RouteConfig{RouteConfig: routes}
	return out, err
}

func (l *Listener) routes() (*routepb.RouteConfiguration, error) {
	host := &routepb.VirtualHost{Name: l.Name, Domains: []string{"*"}, RetryPolicy: l.Retry.policy()}
	for i := range l.Routes {
		r, err := l.Routes[i].route()
		if err != nil {
			return nil, err
		}
		host.Routes = append(host.Routes, r)
	}
	return &routepb.RouteConfiguration{Name: l.RouteName, VirtualHosts: []*routepb.VirtualHost{host}}, nil
}

func (r *Route) route() (*routepb.Route, error) {
	match := &routepb.RouteMatch{PathSpecifier: &routepb.RouteMatch_Prefix{Prefix: r.Prefix}}
	if r.Path != "" {
		match.PathSpecifier = &routepb.RouteMatch_Path{Path: r.Path}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		match.Headers = append(match.Headers, &routepb.HeaderMatcher{
			Name: name,
			HeaderMatchSpecifier: &routepb.HeaderMatcher_StringMatch{StringMatch: &matcherpb.StringMatcher{
				MatchPattern: &matcherpb.StringMatcher_Exact{Exact: r.Headers[name]},
			}},
		})
	}
	out := &routepb.Route{Match: match, Action: &routepb.Route_Route{Route: r.action()}}
	if r.Fault != nil {
		overrides, err := pack(map[string]proto.Message{faultFilter: r.Fault.filter()})
		if err != nil {
			return nil, err
		}
		out.TypedPerFilterConfig = overrides
	}
	return out, nil
}

func (r *Route) action() *routepb.RouteAction {
	out := &routepb.RouteAction{RetryPolicy: r.Retry.policy()}
	if len(r.Clusters) == 1 {
		out.ClusterSpecifier = &routepb.RouteAction_Cluster{Cluster: r.Clusters[0].Name}
	} else {
		shares := &routepb.WeightedCluster{}
		for _, c := range r.Clusters {
			shares.Clusters = append(shares.Clusters, &routepb.WeightedCluster_ClusterWeight{
				Name: c.Name, Weight: wrapperspb.UInt32(c.Weight),
			})
		}
		out.ClusterSpecifier = &routepb.RouteAction_WeightedClusters{WeightedClusters: shares}
	}
	if r.Timeout > 0 {
		out.MaxStreamDuration = &routepb.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(r.Timeout)}
	}
	if r.HashHeader != "" {
		out.HashPolicy = []*routepb.RouteAction_HashPolicy{{
			PolicySpecifier: &routepb.RouteAction_HashPolicy_Header_{
				Header: &routepb.RouteAction_HashPolicy_Header{HeaderName: r.HashHeader},
			},
			Terminal: true,
		}}
	}
	if r.AutoHostRewrite {
		out.HostRewriteSpecifier = &routepb.RouteAction_AutoHostRewrite{AutoHostRewrite: wrapperspb.Bool(true)}
	}
	return out
}

func (r *Retry) policy() *routepb.RetryPolicy {
	if r == nil {
		return nil
	}
	return &routepb.RetryPolicy{
		RetryOn:      r.On,
		NumRetries:   wrapperspb.UInt32(r.Retries),
		RetryBackOff: &routepb.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(r.Base)},
	}
}

func (f *Fault) filter() *faultpb.HTTPFault {
	out := &faultpb.HTTPFault{}
	if f.Delay > 0 {
		out.Delay = &faultcommonpb.FaultDelay{
			Percentage:         percent(100),
			FaultDelaySecifier: &faultcommonpb.FaultDelay_FixedDelay{FixedDelay: durationpb.New(f.Delay)},
		}
	}
	if f.Abort != codes.OK {
		out.Abort = &faultpb.FaultAbort{
			Percentage: percent(100),
			ErrorType:  &faultpb.FaultAbort_GrpcStatus{GrpcStatus: uint32(f.Abort)},
		}
	}
	return out
}

func percent(n uint32) *typepb.FractionalPercent {
	return &typepb.FractionalPercent{Numerator: n, Denominator: typepb.FractionalPercent_HUNDRED}
}
