package tour

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

var (
	update = flag.Bool("update", false, "rewrite docs/tour.md with what the commands print")
)

const (
	transcript   = "../../../docs/tour.md"
	commandLimit = 3 * time.Minute // `check perf` alone loads for one
)

// shown are the ports of the transcript; each is another, free one in the test.
var shown = []string{"2379", "2380", "22379", "22380", "32379", "32380",
	"12379", "12380", "42379", "42380", "52379", "52380", "62379", "62380"}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func TestTour(t *testing.T) {
	bin := binaries(t)
	doc, err := os.ReadFile(transcript)
	if err != nil {
		t.Fatal(err)
	}
	steps, text := parse(string(doc))
	if len(steps) == 0 {
		t.Fatal("the transcript has no command")
	}
	there, back := ports(t)
	sh := startShell(t, bin)
	for i := range steps {
		s := &steps[i]
		out, err := sh.run(there.Replace(s.command))
		if err != nil {
			t.Fatalf("tour.md:%d: %s: %v\n%s%s", s.line, s.command, err, out, sh.logs())
		}
		got := back.Replace(strings.ReplaceAll(out, sh.dir+"/", ""))
		if *update {
			s.output = got
		} else if g, w := normalise(s.command, got), normalise(s.command, s.output); g != w {
			t.Errorf("tour.md:%d: %s\nprints\n%s\nthe transcript says\n%s", s.line, s.command, g, w)
		}
	}
	if *update {
		if err := os.WriteFile(transcript, []byte(format(steps, text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// binaries returns a directory with pontoon and with etcd's tools, those in bin/ if
// `make etcd` has put them there.
func binaries(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	pontoon, err := cluster.PontoonCommand()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"pontoon": pontoon.Path}
	for _, tool := range []string{"etcd", "etcdctl", "etcdutl"} {
		built, err := filepath.Abs(filepath.Join("../../../bin", tool))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(built); err == nil {
			paths[tool] = built
			continue
		}
		build := exec.Command("go", "build", "-o", filepath.Join(dir, tool), "../cmd/"+tool)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", tool, err, out)
		}
	}
	for name, path := range paths {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ports maps the transcript's ports to free ones, and back.
func ports(t *testing.T) (there, back *strings.Replacer) {
	var to, from []string
	chosen, err := cluster.FreePorts(len(shown))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range shown {
		free := strconv.Itoa(chosen[i])
		to = append(to, "127.0.0.1:"+p, "127.0.0.1:"+free)
		from = append(from, "127.0.0.1:"+free, "127.0.0.1:"+p)
	}
	return strings.NewReplacer(to...), strings.NewReplacer(from...)
}

// shell is a bash that runs one command after the other, as a user types them.
type shell struct {
	dir   string
	cmd   *exec.Cmd
	in    *os.File
	lines chan string
}

func startShell(t *testing.T, bin string) *shell {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sh := &shell{dir: t.TempDir(), cmd: exec.Command("bash", "--norc"), in: inW, lines: make(chan string, 64)}
	sh.cmd.Dir, sh.cmd.Stdin, sh.cmd.Stdout, sh.cmd.Stderr = sh.dir, inR, outW, outW
	sh.cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + sh.dir, "TZ=UTC"}
	sh.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // nodes in the background share it
	if err := sh.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	done := make(chan struct{})
	go func() {
		defer close(sh.lines)
		for r := bufio.NewReader(outR); ; {
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case sh.lines <- l:
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		_ = syscall.Kill(-sh.cmd.Process.Pid, syscall.SIGKILL) // the group may be empty
		_ = sh.cmd.Wait()                                      // killed: its status says nothing
		inW.Close()
		outR.Close()
	})
	return sh
}

// logs is the end of what the processes in the background have logged.
func (s *shell) logs() string {
	out, _ := exec.Command("sh", "-c", "tail -n 5 "+s.dir+"/*.log").CombinedOutput() // none yet: it says so
	return string(out)
}

// run types a command and returns what it printed, and under it its exit code unless
// that is 0.
func (s *shell) run(command string) (string, error) {
	const end = "-- end of command --"
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null\necho \"%s$?\"\n", strings.TrimSpace(command), end); err != nil {
		return "", err
	}
	var out strings.Builder
	limit := time.NewTimer(commandLimit)
	defer limit.Stop()
	for {
		select {
		case l, ok := <-s.lines:
			if !ok {
				return out.String(), fmt.Errorf("the shell ended")
			}
			if before, code, found := strings.Cut(l, end); found {
				out.WriteString(before)
				if before != "" {
					out.WriteString("\n")
				}
				if code = strings.TrimSpace(code); code != "0" {
					fmt.Fprintf(&out, "(exit %s)\n", code)
				}
				return out.String(), nil
			}
			out.WriteString(l)
		case <-limit.C:
			return out.String(), fmt.Errorf("not done after %s", commandLimit)
		}
	}
}
