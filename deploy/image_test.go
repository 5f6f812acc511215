package deploy_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, args string }

type image []instruction

var known = []string{"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENV", "EXPOSE", "CMD"}

func dockerfile(t *testing.T) (list image) {
	t.Helper()
	for line := range strings.Lines(read(t, "Dockerfile")) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if !slices.Contains(known, name) || args == "" {
			t.Fatalf("Dockerfile: %q", line)
		}
		list = append(list, instruction{name, args})
	}
	return list
}

func (i image) command(t *testing.T) (command []string) {
	t.Helper()
	last := i[len(i)-1]
	if last.name != "CMD" {
		t.Fatalf("the last instruction is %s", last.name)
	}
	if err := json.Unmarshal([]byte(last.args), &command); err != nil {
		t.Fatalf("CMD: %v", err)
	}
	return command
}

// build runs the image's build command with another output.
func build(t *testing.T, out string) {
	t.Helper()
	words := []string(nil)
	for _, in := range dockerfile(t) {
		if in.name == "RUN" && strings.Contains(in.args, "go build") {
			words = strings.Fields(in.args)
		}
	}
	tool := slices.Index(words, "go")
	if tool < 0 {
		t.Fatal("the image builds nothing")
	}
	cmd := exec.Command("go", words[tool+1:]...)
	cmd.Dir, cmd.Env = "..", os.Environ()
	for _, w := range words[:tool] {
		if name, value, _ := strings.Cut(w, "="); !strings.HasPrefix(value, "$") { // the platform is this one
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	o := slices.Index(cmd.Args, "-o")
	if o < 0 || !strings.HasSuffix(cmd.Args[o+1], "/usr/local/bin/pontoon") {
		t.Fatalf("builds with %q", cmd.Args)
	}
	cmd.Args[o+1] = out
	run(t, cmd)
}

// The build command of the image runs here, too, and makes a static binary:
// the image has nothing else.
func TestImageIsOneStaticBinary(t *testing.T) {
	var stages []string
	for _, in := range dockerfile(t) {
		if in.name == "FROM" {
			stages = append(stages, in.args)
		}
	}
	if len(stages) != 2 || stages[1] != "scratch" {
		t.Fatalf("stages %v", stages)
	}
	out := filepath.Join(t.TempDir(), "pontoon")
	build(t, out)
	file, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a loader: it is not static")
		}
	}
	if libs, err := file.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the binary needs %v, %v", libs, err)
	}
	run(t, exec.Command(out, "version"))
}

// unit parses the systemd unit: section, key, values.
func unit(t *testing.T) map[string]map[string][]string {
	t.Helper()
	sections := map[string]map[string][]string{}
	section := ""
	for line := range strings.Lines(read(t, "systemd/pontoon.service")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			sections[section] = map[string][]string{}
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Fatalf("pontoon.service: %q", line)
			}
			sections[section][key] = append(sections[section][key], value)
		}
	}
	return sections
}

func TestUnitIsWhatSystemdWants(t *testing.T) {
	u := unit(t)
	service := u["Service"]
	if len(u) != 3 || service["Type"][0] != "notify" || len(u["Install"]["WantedBy"]) != 1 {
		t.Fatalf("%v", u)
	}
	for _, e := range service["Environment"] {
		if name, _, ok := strings.Cut(e, "="); !ok || !strings.HasPrefix(name, "PONTOON_") {
			t.Errorf("Environment=%s", e)
		}
	}
	if !strings.Contains(read(t, "systemd/sysusers.conf"), "u "+service["User"][0]+" ") {
		t.Errorf("nobody makes the user %s", service["User"][0])
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	// It looks for what ExecStart names, and for the user.
	bin := binary(t)
	text := strings.ReplaceAll(read(t, "systemd/pontoon.service"), "/usr/local/bin/pontoon", bin)
	copied := filepath.Join(t.TempDir(), "pontoon.service")
	if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(analyze, "verify", "--man=no", "--generators=no", copied)
	out, _ := cmd.CombinedOutput() // its exit code also says what it thinks of other units
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "pontoon.service") {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
}
