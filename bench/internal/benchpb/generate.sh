#!/usr/bin/env bash
# Writes bench.pb.go and bench_grpc.pb.go. `make generate` calls it with the
# pinned, unmodified plugins first on PATH.
set -euo pipefail
cd "$(dirname "$0")"
protoc --proto_path=. \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	bench.proto
