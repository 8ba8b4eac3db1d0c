package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	aggregatepb "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// snapshot translates c, for the cache.
func (c *Config) snapshot(version string) (*cache.Snapshot, error) {
	all := map[resource.Type][]types.Resource{
		resource.ListenerType: {}, resource.RouteType: {}, resource.ClusterType: {}, resource.EndpointType: {},
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		lis, err := l.listener()
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		all[resource.ListenerType] = append(all[resource.ListenerType], lis)
		if l.RouteName != "" && !l.NoRoutes {
			routes, err := l.routes()
			if err != nil {
				return nil, fmt.Errorf("routes %s: %w", l.RouteName, err)
			}
			all[resource.RouteType] = append(all[resource.RouteType], routes)
		}
	}
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		out, err := cl.cluster()
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", cl.Name, err)
		}
		all[resource.ClusterType] = append(all[resource.ClusterType], out)
		if !cl.NoEndpoints && cl.DNS == "" && len(cl.Aggregate) == 0 {
			eps, err := cl.endpoints()
			if err != nil {
				return nil, fmt.Errorf("endpoints of %s: %w", cl.Name, err)
			}
			all[resource.EndpointType] = append(all[resource.EndpointType], eps)
		}
	}
	return cache.NewSnapshot(version, all)
}

func (l *Listener) listener() (*listenerpb.Listener, error) {
	manager, err := l.manager()
	if err != nil {
		return nil, err
	}
	packed, err := anypb.New(manager)
	if err != nil {
		return nil, err
	}
	return &listenerpb.Listener{Name: l.Name, ApiListener: &listenerpb.ApiListener{ApiListener: packed}}, nil
}

func (c *Cluster) cluster() (*clusterpb.Cluster, error) {
	out := &clusterpb.Cluster{Name: c.Name, LbPolicy: clusterpb.Cluster_ROUND_ROBIN}
	if err := c.discovery(out); err != nil {
		return nil, err
	}
	if c.Policy == RingHash {
		out.LbPolicy = clusterpb.Cluster_RING_HASH
	}
	if c.MaxRequests > 0 {
		out.CircuitBreakers = &clusterpb.CircuitBreakers{Thresholds: []*clusterpb.CircuitBreakers_Thresholds{{
			Priority: corepb.RoutingPriority_DEFAULT, MaxRequests: wrapperspb.UInt32(c.MaxRequests),
		}}}
	}
	if c.Outlier != nil {
		out.OutlierDetection = c.Outlier.detection()
	}
	if c.ReportLoad {
		out.LrsServer = &corepb.ConfigSource{ConfigSourceSpecifier: &corepb.ConfigSource_Self{Self: &corepb.SelfConfigSource{}}}
	}
	if c.TLS == nil {
		return out, nil
	}
	socket, err := c.TLS.socket()
	out.TransportSocket = socket
	return out, err
}

// discovery says where the endpoints come from.
func (c *Cluster) discovery(out *clusterpb.Cluster) error {
	switch {
	case len(c.Aggregate) > 0:
		of, err := anypb.New(&aggregatepb.ClusterConfig{Clusters: c.Aggregate})
		out.ClusterDiscoveryType = &clusterpb.Cluster_ClusterType{
			ClusterType: &clusterpb.Cluster_CustomClusterType{Name: "envoy.clusters.aggregate", TypedConfig: of},
		}
		return err
	case c.DNS != "":
		host, text, err := net.SplitHostPort(c.DNS)
		if err != nil {
			return err
		}
		port, err := strconv.ParseUint(text, 10, 16)
		out.ClusterDiscoveryType = &clusterpb.Cluster_Type{Type: clusterpb.Cluster_LOGICAL_DNS}
		out.LoadAssignment = &endpointpb.ClusterLoadAssignment{Endpoints: []*endpointpb.LocalityLbEndpoints{{
			LbEndpoints: []*endpointpb.LbEndpoint{at(host, uint32(port), "")},
		}}}
		return err
	}
	out.ClusterDiscoveryType = &clusterpb.Cluster_Type{Type: clusterpb.Cluster_EDS}
	out.EdsClusterConfig = &clusterpb.Cluster_EdsClusterConfig{EdsConfig: fromADS()}
	return nil
}

// detection is by failure percentage alone: success rate needs many endpoints.
func (o *Outlier) detection() *clusterpb.OutlierDetection {
	return &clusterpb.OutlierDetection{
		Interval:                       duration(o.Interval),
		BaseEjectionTime:               duration(o.Ejection),
		MaxEjectionPercent:             wrapperspb.UInt32(100),
		EnforcingSuccessRate:           wrapperspb.UInt32(0),
		EnforcingConsecutive_5Xx:       wrapperspb.UInt32(0),
		EnforcingFailurePercentage:     wrapperspb.UInt32(100),
		FailurePercentageThreshold:     wrapperspb.UInt32(o.Threshold),
		FailurePercentageMinimumHosts:  wrapperspb.UInt32(1),
		FailurePercentageRequestVolume: wrapperspb.UInt32(o.Volume),
	}
}

func (c *Cluster) endpoints() (*endpointpb.ClusterLoadAssignment, error) {
	out := &endpointpb.ClusterLoadAssignment{ClusterName: c.Name}
	if c.DropPercent > 0 {
		out.Policy = &endpointpb.ClusterLoadAssignment_Policy{
			DropOverloads: []*endpointpb.ClusterLoadAssignment_Policy_DropOverload{{
				Category: "test", DropPercentage: percent(c.DropPercent),
			}},
		}
	}
	for i, l := range c.Localities {
		zone := l.Zone
		if zone == "" {
			zone = strconv.Itoa(i)
		}
		group := &endpointpb.LocalityLbEndpoints{
			Locality:            &corepb.Locality{Zone: zone},
			Priority:            l.Priority,
			LoadBalancingWeight: wrapperspb.UInt32(max(l.Weight, 1)),
		}
		for _, e := range l.Endpoints {
			ep, err := e.endpoint()
			if err != nil {
				return nil, err
			}
			group.LbEndpoints = append(group.LbEndpoints, ep)
		}
		out.Endpoints = append(out.Endpoints, group)
	}
	return out, nil
}

func (e *Endpoint) endpoint() (*endpointpb.LbEndpoint, error) {
	addr, err := netip.ParseAddrPort(e.Address)
	if err != nil {
		return nil, err
	}
	out := at(addr.Addr().String(), uint32(addr.Port()), e.Hostname)
	out.LoadBalancingWeight = wrapperspb.UInt32(max(e.Weight, 1))
	out.HealthStatus = corepb.HealthStatus_HEALTHY
	if e.Draining {
		out.HealthStatus = corepb.HealthStatus_DRAINING
	}
	return out, nil
}

func at(host string, port uint32, hostname string) *endpointpb.LbEndpoint {
	return &endpointpb.LbEndpoint{HostIdentifier: &endpointpb.LbEndpoint_Endpoint{Endpoint: &endpointpb.Endpoint{
		Hostname: hostname,
		Address: &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{
			Address: host, PortSpecifier: &corepb.SocketAddress_PortValue{PortValue: port},
		}}},
	}}}
}

// fromADS says that the stream that told of one resource tells of the next.
func fromADS() *corepb.ConfigSource {
	return &corepb.ConfigSource{ConfigSourceSpecifier: &corepb.ConfigSource_Ads{Ads: &corepb.AggregatedConfigSource{}}}
}

// duration leaves zero to the other side's default.
func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// pack is for messages of this package's making, which always marshal.
func pack(ms map[string]proto.Message) (map[string]*anypb.Any, error) {
	out := make(map[string]*anypb.Any, len(ms))
	for name, m := range ms {
		packed, err := anypb.New(m)
		if err != nil {
			return nil, err
		}
		out[name] = packed
	}
	return out, nil
}
