#!/usr/bin/env bash
# Writes shelf.pb.go, shelf_grpc.pb.go and shelf.pb.gw.go. `make generate`
# calls it with the pinned, unmodified plugins first on PATH.
set -euo pipefail
cd "$(dirname "$0")"
protoc --proto_path=. \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	--grpc-gateway_out=. --grpc-gateway_opt=paths=source_relative,grpc_api_configuration=shelf.yaml \
	shelf.proto
