package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/sim/simnet"
)

// machine is a computer with a disk, a clock and a place in the network, on
// which one node runs, or not.
type machine struct {
	name  string
	ip    string
	host  *simnet.Host
	clock *clock
	cfg   config.Config // of the next start, but for what start fills in
	dir   string

	disk *disk

	mu   sync.Mutex
	node *node.Node // nil: not running
}

func (m *machine) clientAddr() string { return m.ip + ":2379" }
func (m *machine) peerAddr() string   { return m.ip + ":2380" }
func (m *machine) peerURL() string    { return "http://" + m.peerAddr() }

func (m *machine) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node != nil
}

// start boots the machine and runs the node.
func (m *machine) start(ctx context.Context) error {
	m.host.PowerOn()
	cfg := m.cfg
	cfg.FS, cfg.Network, cfg.Now = m.disk.mount(), m.host.Process(), m.clock.now
	cfg.DataDir = m.dataDir()
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%s does not start: %w", m.name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node = n
	return nil
}

// dataDir holds the few files that are not the engine's.
func (m *machine) dataDir() string { return filepath.Join(m.dir, m.name) }

// die ends the node at this moment, without its noticing. What was not synced
// stays with a chance of kept percent for each block: all of it if only the
// process dies, while the machine goes on.
func (m *machine) die(kept int, seed uint64) error { return m.bury(m.leave(kept, seed)) }

// leave takes network and disk away from the node and returns it. It does not
// block.
func (m *machine) leave(kept int, seed uint64) *node.Node {
	m.mu.Lock()
	n := m.node
	m.node = nil
	m.mu.Unlock()
	if kept == 100 {
		m.host.Kill()
	} else {
		m.host.PowerOff()
	}
	m.disk.crash(kept, seed)
	return n
}

// bury stops a node that was left. What it still does, it does to a disk that is
// not there any more.
func (m *machine) bury(n *node.Node) error {
	files := m.dataDir() + ".crash"
	err := os.CopyFS(files, os.DirFS(m.dataDir()))
	return errors.Join(err, stop(n, 0), os.RemoveAll(m.dataDir()), os.Rename(files, m.dataDir()))
}

// shutDown is a clean stop.
func (m *machine) shutDown() error {
	m.mu.Lock()
	n := m.node
	m.node = nil
	m.mu.Unlock()
	err := stop(n, 20*time.Second)
	m.host.Kill() // nothing is left open by then
	return err
}

func stop(n *node.Node, grace time.Duration) error {
	if n == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return n.Stop(ctx)
}
