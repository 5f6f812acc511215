//go:build pins

// What the test binaries need stays in go.mod because this file, which is never built,
// imports their packages.

package etcdtests

import (
	_ "go.etcd.io/etcd/tests/v3/common"
	_ "go.etcd.io/etcd/tests/v3/e2e"
)
