package weir

// compressorHint says what brings a compressor that is not registered.
func compressorHint(name string) string {
	switch name {
	case "gzip":
		return "import google.golang.org/grpc/encoding/gzip"
	case "zstd":
		return "import github.com/weir-rpc/weir/zstd"
	}
	return "encoding.RegisterCompressor, or import the package that calls it"
}

const codecHint = "encoding.RegisterCodecV2, or import the package that calls it"
