// Package outlier tests outlier_detection_experimental over weir's connections,
// which grpc-go registers with package xds alone.
package outlier
