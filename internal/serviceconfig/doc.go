// Package serviceconfig reads the JSON in which the owner of a service tells
// its clients how to call it. It is values alone: what it says is done by those
// who make calls.
//
// https://github.com/grpc/grpc/blob/master/doc/service_config.md
package serviceconfig
