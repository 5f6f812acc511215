package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pontoon-kv/pontoon/bench/disk"
)

// Node is one node of a cluster: a process that may be stopped and started
// again on the same data.
type Node struct {
	Name     string
	Endpoint string     // client address, host:port
	Peer     string     // peer address, host:port
	Dir      string     // data directory
	LogFile  string     // output of all its processes
	Disk     *disk.Disk // what Dir is on; nil unless Options.Disks

	enter  []string // before the binary
	binary string
	args   []string
	env    []string
	logger *slog.Logger

	mu      sync.Mutex
	proc    *process // nil: not running
	crashes []error  // ends that nobody asked for
}

// insertDisk moves the data directory to a disk of its own.
func (n *Node) insertDisk() error {
	at := n.Dir + ".disk"
	if err := os.MkdirAll(at, 0o700); err != nil {
		return fmt.Errorf("disk of %s: %w", n.Name, err)
	}
	d, err := disk.New(at)
	if err != nil {
		return fmt.Errorf("disk of %s: %w", n.Name, err)
	}
	n.Disk, n.Dir = d, filepath.Join(at, "data")
	return nil
}

// LosePower ends the process at once and takes from its disk what was not synced,
// but for kept percent of it.
func (n *Node) LosePower(kept int, seed uint64) error {
	if err := n.Kill(); err != nil {
		return err
	}
	if err := n.Disk.LosePower(kept, seed); err != nil {
		return fmt.Errorf("%s loses power: %w", n.Name, err)
	}
	n.logger.Info("power lost", "node", n.Name, "kept_percent", kept)
	return nil
}

// process is one life of a node.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // valid after done

	mu      sync.Mutex
	wanted  bool // somebody asked it to end
	noticed bool // counted as a crash
}

// expectEnd notes that the end of the process is wanted.
func (p *process) expectEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done: // it was there before
	default:
		p.wanted = true
	}
}

// crash returns, once, the end of a process that nobody asked for.
func (p *process) crash() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted || p.noticed {
		return nil
	}
	p.noticed = true
	return fmt.Errorf("ended by itself: %v", p.err)
}

// Start starts the process; use WaitReady to know when it serves.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		select {
		case <-n.proc.done:
		default:
			return fmt.Errorf("start %s: already running", n.Name)
		}
	}
	out, err := os.OpenFile(n.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	command := slices.Concat(n.enter, []string{n.binary}, n.args)
	p := &process{cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), n.env...)
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go p.live(started, out)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	n.noticeLocked()
	n.proc = p
	n.logger.Info("node started", "node", n.Name, "endpoint", n.Endpoint, "pid", p.cmd.Process.Pid)
	return nil
}

// live starts and awaits the process on one OS thread: where a process dies
// with its parent, the parent is the thread that started it.
func (p *process) live(started chan<- error, out io.Closer) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer out.Close()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// noticeLocked keeps the crash of the last process, if it was one.
func (n *Node) noticeLocked() {
	if n.proc == nil {
		return
	}
	if err := n.proc.crash(); err != nil {
		n.crashes = append(n.crashes, fmt.Errorf("%s %w, see %s", n.Name, err, n.LogFile))
	}
}

// Crashes returns every end of the node so far that nobody asked for: a process
// that panics is not hidden by a kill that comes after.
func (n *Node) Crashes() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noticeLocked()
	return slices.Clone(n.crashes)
}

// current returns the running process, nil if there is none.
func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	select {
	case <-n.proc.done:
		return nil
	default:
		return n.proc
	}
}

// Running says whether the process lives.
func (n *Node) Running() bool { return n.current() != nil }

// Pid returns the process id, 0 if the node does not run.
func (n *Node) Pid() int {
	if p := n.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// Kill ends the process at once (SIGKILL) and waits until it is gone.
func (n *Node) Kill() error {
	p := n.current()
	if p == nil {
		return nil
	}
	p.expectEnd()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", n.Name, err)
	}
	<-p.done
	n.logger.Info("node killed", "node", n.Name)
	return nil
}

// Pause stops the process from running (SIGSTOP) until Resume: to the others it
// looks hung, to itself no time has passed.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("signal %s: not running", n.Name)
	}
	return p.cmd.Process.Signal(s)
}

// Stop asks the process to end (SIGTERM) and waits. After timeout it is killed,
// which is an error.
func (n *Node) Stop(timeout time.Duration) error {
	p := n.current()
	if p == nil {
		return nil
	}
	p.expectEnd()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", n.Name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
		return errors.Join(fmt.Errorf("stop %s: still running after %v", n.Name, timeout), n.Kill())
	}
}

// MayEnd says that this life of the node may end by itself from now on.
func (n *Node) MayEnd() {
	if p := n.current(); p != nil {
		p.expectEnd()
	}
}

// WaitEnd waits for the process to end by itself, which is expected of it. After
// timeout it is killed, which is an error.
func (n *Node) WaitEnd(timeout time.Duration) error {
	p := n.current()
	if p == nil {
		return nil
	}
	p.expectEnd()
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
		return errors.Join(fmt.Errorf("%s still runs after %v", n.Name, timeout), n.Kill())
	}
}

// Restart starts a node that is down and waits until it is ready.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Start(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// WaitReady waits until the node serves linearizable reads (GET /readyz is 200).
func (n *Node) WaitReady(ctx context.Context) error {
	var last error
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		p := n.current()
		if p == nil {
			return fmt.Errorf("%s ended while starting (%v), see %s", n.Name, n.exitError(), n.LogFile)
		}
		if last = probe(ctx, client, "http://"+n.Endpoint+"/readyz"); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s not ready: %w (last: %v), see %s", n.Name, ctx.Err(), last, n.LogFile)
		case <-p.done:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (n *Node) exitError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	<-n.proc.done
	return n.proc.err
}

func probe(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
