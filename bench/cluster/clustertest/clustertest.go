// Package clustertest gives tests a running cluster of the system under test:
// the binary named by PONTOON_BIN, else etcd named by ETCD_BIN (to prove the
// harness itself), else Pontoon built from this module.
package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Binary is an executable to test and what it is.
type Binary struct {
	Kind cluster.Kind
	Path string
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pontoon-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pontoon")
	out, err := exec.Command("go", "build", "-o", path, "github.com/pontoon-kv/pontoon/cmd/pontoon").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pontoon: %w: %s", err, out)
	}
	return path, nil
})

// Subject returns the binary to test.
func Subject(t testing.TB) Binary {
	t.Helper()
	if path := os.Getenv("PONTOON_BIN"); path != "" {
		return Binary{cluster.Pontoon, path}
	}
	if path := os.Getenv("ETCD_BIN"); path != "" {
		return Binary{cluster.Etcd, path}
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return Binary{cluster.Pontoon, path}
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, b Binary, nodes int) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{Kind: b.Kind, Binary: b.Path, Nodes: nodes, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
