#!/usr/bin/env bash
# Regenerates proto/pontoonpb. Needs protoc; the Go plug-ins are installed by
# `make proto` at the versions pinned in the Makefile. etcd's own .proto files
# come from the module cache, so the two can never drift apart.
set -euo pipefail
cd "$(dirname "$0")/.."
mod() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
inc=$(mktemp -d)
trap 'rm -rf "$inc"' EXIT
mkdir -p "$inc/etcd"
ln -s "$(go list -m -f '{{.Dir}}' go.etcd.io/etcd/api/v3)" "$inc/etcd/api"
gateway1=$(mod github.com/grpc-ecosystem/grpc-gateway@v1.16.0)
gateway2=$(mod github.com/grpc-ecosystem/grpc-gateway/v2@v2.30.0)
protoc -Iproto/pontoonpb -I"$inc" -I"$gateway1/third_party/googleapis" -I"$gateway2" \
  --go_out=. --go_opt=module=github.com/pontoon-kv/pontoon \
  --go-grpc_out=. --go-grpc_opt=module=github.com/pontoon-kv/pontoon \
  --go-vtproto_out=. --go-vtproto_opt=module=github.com/pontoon-kv/pontoon,features=marshal+unmarshal+size \
  pontoon.proto backup.proto
