package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the command itself: a test starts it with
// beCommand set.
func TestMain(m *testing.M) {
	if os.Getenv(beCommand) != "" {
		os.Unsetenv(beCommand)
		main()
		return
	}
	os.Exit(m.Run())
}

const beCommand = "BE_THE_PONTOON_COMMAND"

// command prepares a run of the command as a process of its own, with nothing
// of the environment but what is given.
func command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append([]string{beCommand + "=1", "HOME=" + os.TempDir()}, env...)
	return cmd
}

// pontoon runs the command to its end.
func pontoon(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return pontoonEnv(t, nil, args...)
}

func pontoonEnv(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(env, args...)
	cmd.Dir = t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// process is `pontoon start` running.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	log  string
}

// startNode starts a single node on free ports over dir.
func startNode(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	client, peer := freeAddr(t), freeAddr(t)
	args = append([]string{
		"start", "--data-dir=" + filepath.Join(dir, "data"),
		"--listen-client-urls=http://" + client, "--advertise-client-urls=http://" + client,
		"--listen-peer-urls=http://" + peer,
	}, args...)
	p := launch(t, filepath.Join(dir, "log"), env, client, args...)
	p.awaitReady()
	return p
}

// launch starts a node that serves clients at an address.
func launch(t *testing.T, log string, env []string, client string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(env, args...), addr: client, log: log}
	logFile, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	p.cmd.Stderr = logFile
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *process) awaitReady() {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if resp, err := http.Get("http://" + p.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-poll.C:
		case <-deadline:
			b, _ := os.ReadFile(p.log)
			p.t.Fatalf("not ready:\n%s", b)
		}
	}
}

// terminate asks the process to stop, as an init system does, and returns its
// exit code.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		p.t.Fatal("did not stop on SIGTERM")
	}
	return p.cmd.ProcessState.ExitCode()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// fails demands a refusal: a message on stderr that holds want, nothing on
// stdout, and an exit code.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	stdout, stderr, code := pontoon(t, args...)
	if code == 0 || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("pontoon %s: code %d, %q, %q; want %q", strings.Join(args, " "), code, stdout, fmt.Sprint(stderr), want)
	}
}
