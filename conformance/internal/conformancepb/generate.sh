#!/usr/bin/env bash
# Writes the stubs of the conformance suite's messages and service from the
# .proto files of the module that ../../tools/go.mod pins. `make generate` calls
# it with the pinned, unmodified plugins first on PATH.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off
go -C ../../tools mod download connectrpc.com/conformance
proto="$(go -C ../../tools list -m -f '{{.Dir}}' connectrpc.com/conformance)/proto"
package=github.com/weir-rpc/weir/conformance/internal/conformancepb
options=("--go_opt=module=$package" "--go-grpc_opt=module=$package")
known="$(mktemp)"
trap 'rm -f "$known"' EXIT
go run ./wellknown >"$known"
files=()
for name in config service client_compat server_compat; do
	file="connectrpc/conformance/v1/$name.proto"
	files+=("$file")
	options+=("--go_opt=M$file=$package" "--go-grpc_opt=M$file=$package")
done
protoc --descriptor_set_in="$known" --proto_path="$proto" --go_out=. --go-grpc_out=. "${options[@]}" "${files[@]}"
