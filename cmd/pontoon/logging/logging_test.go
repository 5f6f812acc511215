package logging

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func to(t *testing.T, change func(*Options)) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	o := Defaults()
	o.Outputs = []string{path}
	change(&o)
	log, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log, path
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// A line has etcd's fields: level, ts, caller and msg.
func TestJSON(t *testing.T) {
	log, path := to(t, func(*Options) {})
	log.Debug("no")
	log.With(slog.Int("range", 1)).Warn("yes")
	got := lines(t, path)
	var line map[string]any
	if err := json.Unmarshal([]byte(got[0]), &line); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if line["level"] != "warn" || line["msg"] != "yes" || line["range"] != 1.0 {
		t.Error(line)
	}
	if at := line["caller"].(string); !strings.HasPrefix(at, "logging/logging_test.go:") {
		t.Error(at)
	}
	if _, err := time.Parse(timeFormat, line["ts"].(string)); err != nil {
		t.Error(err)
	}
}

func TestConsoleAndLevels(t *testing.T) {
	log, path := to(t, func(o *Options) { o.Format, o.Level = Console, "debug" })
	log.Debug("d")
	if got := lines(t, path)[0]; !regexp.MustCompile(`level=debug caller=logging/logging_test.go:\d+ msg=d`).MatchString(got) {
		t.Error(got)
	}
	quiet, path := to(t, func(o *Options) { o.Level = "fatal" })
	quiet.Error("e")
	if got := lines(t, path)[0]; got != "" {
		t.Error(got)
	}
}

// Full files are put aside and at most so many kept.
func TestRotation(t *testing.T) {
	log, path := to(t, func(o *Options) { o.Rotate, o.Rotation = true, `{"maxsize": 1, "maxbackups": 3}` })
	for range 3 {
		log.Info(strings.Repeat("x", 600<<10))
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 3 {
		t.Error(files, err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	for want, change := range map[string]func(*Options){
		`unknown logger option "x"`:              func(o *Options) { o.Logger = "x" },
		"--logger=capnslog is removed":           func(o *Options) { o.Logger = "capnslog" },
		"--log-level must be":                    func(o *Options) { o.Level = "loud" },
		"unknown log format: x":                  func(o *Options) { o.Format = "x" },
		"multi logoutput":                        func(o *Options) { o.Outputs = []string{Default, Stdout} },
		"systemd passes on":                      func(o *Options) { o.Outputs = []string{Journal} },
		"requires a single file path":            func(o *Options) { o.Rotate = true },
		"requires a single file":                 func(o *Options) { o.Rotate, o.Outputs = true, []string{dir + "/a", dir + "/b"} },
		"improperly formatted log rotation":      func(o *Options) { o.Rotate, o.Outputs, o.Rotation = true, []string{dir + "/a"}, "{" },
		"invalid log rotation config":            func(o *Options) { o.Rotate, o.Outputs, o.Rotation = true, []string{dir + "/a"}, `{"maxsize": "x"}` },
		"--log-outputs: open":                    func(o *Options) { o.Outputs = []string{dir + "/none/a"} },
		"--log-outputs: open " + dir + "/none/b": func(o *Options) { o.Rotate, o.Outputs = true, []string{dir + "/none/b"} },
	} {
		o := Defaults()
		change(&o)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
