package etcdtests

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const testsModule = "go.etcd.io/etcd/tests/v3"

// Lab is a directory laid out as etcd's tree is: the binaries, the certificates and one
// test binary for each package of tests.
type Lab struct {
	dir    string
	source string // the module's directory, read-only
}

// NewLab lays out dir with server as bin/etcd. etcdctl and etcdutl are built.
func NewLab(ctx context.Context, dir, server string) (*Lab, error) {
	server, err := filepath.Abs(server)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(server); err != nil {
		return nil, fmt.Errorf("the server under test: %w", err)
	}
	source, err := source(ctx)
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, source: source}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(server, filepath.Join(dir, "bin", "etcd")); err != nil {
		return nil, err
	}
	for _, tool := range []string{"etcdctl", "etcdutl"} {
		if err := goRun(ctx, "build", "-o", filepath.Join(dir, "bin", tool), "go.etcd.io/etcd/"+tool+"/v3"); err != nil {
			return nil, err
		}
	}
	return l, l.copyTests()
}

// source returns the directory of etcd's tests. Nothing here imports them, so a build
// has not fetched them.
func source(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", testsModule).Output()
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", testsModule, explain(err))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("fetch %s: %w", testsModule, err)
	}
	return module.Dir, nil
}

// copyTests copies the module: tests write beside its certificates, and its own directory
// is read-only.
func (l *Lab) copyTests() error {
	return filepath.WalkDir(l.source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(l.dir, "tests", strings.TrimPrefix(path, l.source))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	})
}

// Build compiles the tests of a package of the module, as `common`.
func (l *Lab) Build(ctx context.Context, pkg string) (*Binary, error) {
	b := &Binary{
		pkg: pkg, path: filepath.Join(l.dir, strings.ReplaceAll(pkg, "/", ".")+".test"),
		dir: filepath.Join(l.dir, "tests", pkg), bin: filepath.Join(l.dir, "bin"),
	}
	args := []string{"test", "-c", "-tags", "e2e", "-o", b.path}
	if inProcess(pkg) {
		if err := l.standIn(ctx, pkg); err != nil {
			return nil, err
		}
		// Some of these tests leave directories behind.
		temporary := filepath.Join(l.dir, "tmp")
		if err := os.MkdirAll(temporary, 0o755); err != nil {
			return nil, err
		}
		b.env = []string{serverEnv + "=" + filepath.Join(b.bin, "etcd"), "TMPDIR=" + temporary}
		args = []string{"test", "-c", "-tags", "standin", "-modfile", l.modfile(), "-o", b.path}
	}
	return b, goRun(ctx, append(args, testsModule+"/"+pkg)...)
}

func goRun(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// explain adds what a command said to how it exited.
func explain(err error) error {
	if exit, ok := err.(*exec.ExitError); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}
