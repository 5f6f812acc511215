package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a process has to stop cleanly before it is killed.
const stopGrace = 10 * time.Second

// process is one node that runs as a process, with its output in a file.
type process struct {
	cmd     *exec.Cmd
	logPath string
	done    chan struct{} // closed when the process has ended
	err     error         // how it ended; read after done
}

func startProcess(bin, logPath string, args []string) (*process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child holds its own descriptor
	p := &process{cmd: exec.Command(bin, args...), logPath: logPath, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// The kernel ends the child when the thread that forked it ends (I1), so all
	// children are forked by one thread that lives as long as this process.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := launch(p.cmd); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// exited returns an error if the process has ended.
func (p *process) exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("process ended: %v", p.err)
	default:
		return nil
	}
}

// stop ends the process with SIGTERM, after a grace period with SIGKILL.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("cluster: process %d did not stop in %s and was killed", p.cmd.Process.Pid, stopGrace)
}

// logTail returns the end of the process's output.
func (p *process) logTail() []byte {
	const keep = 16_000
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	return bytes.TrimSpace(b)
}

type launchRequest struct {
	cmd  *exec.Cmd
	done chan error
}

var launcher = sync.OnceValue(func() chan<- launchRequest {
	requests := make(chan launchRequest)
	go func() {
		runtime.LockOSThread() // never unlocked: see startProcess
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

func launch(cmd *exec.Cmd) error {
	r := launchRequest{cmd: cmd, done: make(chan error)}
	launcher() <- r
	return <-r.done
}
