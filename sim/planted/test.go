package planted

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"strings"
)

// CaughtByTest runs the bug's test with the bug built in, from the root of the
// repository, and says whether it fails. list is what Overlay returned. A test
// that does not build is an error.
func (b Bug) CaughtByTest(ctx context.Context, root, list string) (bool, error) {
	dir, name := path.Split(b.Test)
	base, name, ok := strings.Cut(name, ".")
	if !ok {
		return false, fmt.Errorf("planted: %s: no test PACKAGE.NAME: %q", b.Name, b.Test)
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-count=1", "-v", "-overlay", list, "-run", "^"+name+"$", "./"+dir+base)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil && strings.Contains(text, "--- PASS: "+name):
		return false, nil
	case err != nil && strings.Contains(text, "=== RUN   "+name):
		return true, nil
	default:
		return false, fmt.Errorf("planted: %s: %s was not run: %v\n%s", b.Name, b.Test, err, text)
	}
}
