package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// StartPontoon starts Pontoon as one process per node. The binary is the one named
// by PONTOON_BIN, else it is built once from the repository this module lies in.
func StartPontoon(o Options) (*Cluster, error) {
	bin, err := pontoonBinary()
	if err != nil {
		return nil, err
	}
	return start("pontoon", o, func(c *Cluster, l layout, o Options) error {
		c.ranges = &Ranges{bin: bin, endpoint: l.clients[0]}
		nodes := make([]*process, 0, o.Nodes)
		for i := range o.Nodes {
			p, err := startProcess(bin, filepath.Join(l.dir, l.names[i]+".log"), pontoonArgs(l, i, o))
			if err != nil {
				return err
			}
			nodes = append(nodes, p)
			c.stop = append(c.stop, p.stop)
			c.logs = append(c.logs, func() string { return string(p.logTail()) })
		}
		for i, p := range nodes {
			if err := waitReady(l.clients[i], o.ReadyTimeout, p.exited); err != nil {
				return fmt.Errorf("%w\n%s", err, p.logTail())
			}
		}
		return nil
	})
}

// Pontoon runs a command of Pontoon's binary to its end and returns what it
// printed.
func Pontoon(args ...string) (string, error) {
	cmd, err := PontoonCommand(args...)
	if err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pontoon %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// PontoonCommand is a command of Pontoon's binary that the caller starts and
// ends.
func PontoonCommand(args ...string) (*exec.Cmd, error) {
	bin, err := pontoonBinary()
	if err != nil {
		return nil, err
	}
	return exec.Command(bin, args...), nil
}

func pontoonArgs(l layout, i int, o Options) []string {
	args := []string{
		"start",
		"--name", l.names[i],
		"--data-dir", filepath.Join(l.dir, l.names[i]),
		"--listen-client-urls", "http://" + l.clients[i],
		"--advertise-client-urls", "http://" + l.clients[i],
		"--listen-peer-urls", "http://" + l.peers[i],
		"--initial-advertise-peer-urls", "http://" + l.peers[i],
		"--initial-cluster", l.initialCluster(),
		"--initial-cluster-state", "new",
		"--initial-cluster-token", filepath.Base(l.dir),
		"--log-level", "info",
		"--bcrypt-cost", fmt.Sprint(bcryptCost),
	}
	if o.ElectionTimeout > 0 {
		args = append(args, "--election-timeout", fmt.Sprint(o.ElectionTimeout.Milliseconds()),
			"--heartbeat-interval", fmt.Sprint(o.heartbeat().Milliseconds()))
	}
	if o.ProgressInterval > 0 {
		args = append(args, "--watch-progress-notify-interval", o.ProgressInterval.String())
	}
	return args
}

// builtDir holds the binary that pontoonBinary built.
var builtDir string

// RemoveBinary removes the binary that StartPontoon built. Call it last.
func RemoveBinary() error {
	if builtDir == "" {
		return nil
	}
	return os.RemoveAll(builtDir)
}

// pontoonBinary returns PONTOON_BIN, else builds the binary once per process.
var pontoonBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("PONTOON_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("cluster: locate the module: %w", err)
	}
	root := filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "..", "..")
	dir, err := os.MkdirTemp("", "oracle-bin-")
	if err != nil {
		return "", err
	}
	builtDir = dir
	bin := filepath.Join(dir, "pontoon")
	build := exec.Command("go", "build", "-o", bin, "./cmd/pontoon")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cluster: build pontoon (or set PONTOON_BIN): %w\n%s", err, out)
	}
	return bin, nil
})
