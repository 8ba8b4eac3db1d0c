#!/usr/bin/env bash
# Usage: build.sh PROGRAM
#
# Builds the peer grpc-c++ with what Debian has: libgrpc++-dev,
# protobuf-compiler-grpc, libprotobuf-dev, pkg-config and g++.
set -euo pipefail
cd "$(dirname "$0")"
if ! plugin=$(command -v grpc_cpp_plugin) || ! pkg-config --exists grpc++ protobuf; then
	echo 'bench/cpp: gRPC C++ is not there; on Debian: apt-get install libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev pkg-config g++' >&2
	exit 1
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
protoc --proto_path=../internal/benchpb --cpp_out="$made" --grpc_out="$made" --plugin=protoc-gen-grpc="$plugin" bench.proto
protoc --proto_path=. --cpp_out="$made" process.proto
read -ra flags <<<"$(pkg-config --cflags --libs grpc++ protobuf)"
mkdir -p "$(dirname "$1")"
g++ -std=c++17 -O2 -DNDEBUG -Wall -Wextra -I"$made" -I. -o "$1" ./*.cc "$made"/*.cc "${flags[@]}" -pthread
