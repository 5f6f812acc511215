package etcdtests

import (
	"os"
	"path/filepath"
	"testing"
)

// What is named of etcd's tests is there: a file that moved would not be run any more,
// or would start servers in the test's process again.
func TestNamedFilesAreEtcds(t *testing.T) {
	dir, err := source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{framework: replaced}
	for pkg, files := range outside {
		named[pkg] = files
	}
	for pkg, files := range named {
		for _, f := range files {
			if _, err := os.Stat(filepath.Join(dir, pkg, f)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestKeepOnly(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"main_test.go", "a_test.go", "b_test.go", "helper.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		kept []string
		want int
	}{{nil, 4}, {[]string{"b_test.go"}, 3}} {
		if err := keepOnly(dir, tc.kept); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(left) != tc.want {
			t.Errorf("%v: %v %v", tc.kept, left, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a_test.go")); !os.IsNotExist(err) {
		t.Error("the other test is still there:", err)
	}
}
