package etcdtests

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// standin is the source of what takes the place of etcd's framework/integration.
//
//go:embed standin/*.go
var standin embed.FS

// serverEnv tells the stand-in which binary its members are processes of.
const serverEnv = "STANDIN_SERVER"

// framework is the package that starts servers in the process of the test, and the files
// of it that do so; the others stay as they are.
const framework = "framework/integration"

var replaced = []string{"cluster.go", "integration.go", "cluster_proxy.go"}

// outside are the test files of a package that ask a cluster from outside only; a package
// that is not here has no others. What is left out reads a server's raft state, its files
// or its clock, or is a test of the framework.
var outside = map[string][]string{
	"integration": {
		"txn_range_consistency_test.go", "util_test.go", "v3_auth_test.go", "v3_election_test.go", "v3_failover_test.go", "v3_grpc_inflight_test.go",
		"v3_grpc_test.go", "v3_kv_test.go", "v3_stm_test.go", "v3_tls_test.go", "v3election_grpc_test.go", "v3lock_grpc_test.go",
	},
	"integration/clientv3": {
		"kv_test.go", "mirror_auth_test.go", "mirror_test.go", "namespace_test.go", "user_test.go",
	},
}

// inProcess reports whether the tests of a package would start servers by themselves.
func inProcess(pkg string) bool {
	return pkg == "integration" || strings.HasPrefix(pkg, "integration/")
}

func (l *Lab) modfile() string { return filepath.Join(l.dir, "standin.mod") }

// standIn has the copy of the module start processes, and leaves in a package the tests
// that can do with that.
func (l *Lab) standIn(ctx context.Context, pkg string) error {
	tests := filepath.Join(l.dir, "tests")
	for _, file := range replaced {
		if err := os.Remove(filepath.Join(tests, framework, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	files, err := standin.ReadDir("standin")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := standin.ReadFile("standin/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tests, framework, "standin_"+f.Name()), b, 0o600); err != nil {
			return err
		}
	}
	if err := keepOnly(filepath.Join(tests, pkg), outside[pkg]); err != nil {
		return err
	}
	return l.writeModfile(ctx)
}

// keepOnly removes the other tests of a directory.
func keepOnly(dir string, kept []string) error {
	if kept == nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, path := range found {
		name := filepath.Base(path)
		if name == "main_test.go" || slices.Contains(kept, name) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// writeModfile is this module's go.mod with the copy in the place of etcd's tests.
func (l *Lab) writeModfile(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find go.mod: %w", explain(err))
	}
	mod := strings.TrimSpace(string(out))
	for from, to := range map[string]string{mod: l.modfile(), strings.TrimSuffix(mod, ".mod") + ".sum": strings.TrimSuffix(l.modfile(), ".mod") + ".sum"} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	return goRun(ctx, "mod", "edit", "-replace", testsModule+"="+filepath.Join(l.dir, "tests"), l.modfile())
}
