// Package zstd makes "zstd" a compressor of gRPC messages, of weir's Clients and
// Servers as well as grpc-go's:
//
//	import _ "github.com/weir-rpc/weir/zstd"
//
//	stub.Get(ctx, in, grpc.UseCompressor(zstd.Name))
//
// A server that imports it answers in kind. A weir Client that imports it offers
// it to servers; they choose it with weir.SetSendCompressor. At its default level
// it is faster than gzip, both ways, and makes messages smaller. It is a module
// of its own, for it stands on github.com/klauspost/compress.
//
// Encoders and decoders are pooled, have no goroutines, and their memory is
// bounded, by the level and the windows: what a peer sends can demand MaxWindow at
// most, beside the message, which has the limit of MaxRecvMsgSize when it is
// decompressed.
package zstd
