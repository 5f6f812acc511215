package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// patch replaces one place in a file of package runtime.
type patch struct {
	file      string
	old, with string
	why       string
}

var patches = []patch{
	{"rand.go", "\tglobalRand.state.Init(*seed)\n",
		"\tfor i := range seed {\n\t\tseed[i] = byte(i + 1)\n\t}\n\tglobalRand.state.Init(*seed)\n",
		"hash seeds, map order and math/rand are the same in every process"},
	{"rand.go", "\tc := &mp.chacha8\n\tfor {",
		"\tc := &mp.chacha8\n\tif mp.curg != nil && mp.curg.bubble != nil {\n\t\tc = &m0.chacha8\n\t}\n\tfor {",
		"goroutines of a bubble draw from one sequence, whatever thread they run on"},
	{"rand.go", "func cheaprand() uint32 {\n\tmp := getg().m\n",
		"func cheaprand() uint32 {\n\tmp := getg().m\n\tif mp.curg != nil && mp.curg.bubble != nil {\n\t\tmp = &m0\n\t}\n",
		"likewise for select and the queues of mutexes"},
	{"proc.go", "\t\tif retake(now) != 0 {", "\t\tif false && retake(now) != 0 {",
		"real time ends no goroutine's turn"},
	{"runtime2.go", "\twaitReasonSyncCondWait:          true,\n",
		"\twaitReasonSyncCondWait:          true,\n\twaitReasonSyncMutexLock:         true,\n" +
			"\twaitReasonSyncRWMutexRLock:      true,\n\twaitReasonSyncRWMutexLock:       true,\n",
		"gRPC waits for connections with a mutex held; time must go on then"},
}

// overlay writes the patched files and the list of them for the go command.
func overlay(dir string) (list string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("runner: go env: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src", "runtime")
	texts := map[string]string{}
	for _, p := range patches {
		if texts[p.file] == "" {
			b, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				return "", fmt.Errorf("runner: %w", err)
			}
			texts[p.file] = string(b)
		}
		if n := strings.Count(texts[p.file], p.old); n != 1 {
			return "", fmt.Errorf("runner: %s of this toolchain has %d places to patch so that %s", p.file, n, p.why)
		}
		texts[p.file] = strings.Replace(texts[p.file], p.old, p.with, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		to := filepath.Join(dir, file)
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("runner: %w", err)
		}
		replace[filepath.Join(root, file)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("runner: %w", err)
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, b, 0o644)
}
