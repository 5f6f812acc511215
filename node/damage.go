package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/storage"
)

// damageFile lies in a data directory whose engine was found damaged by a running
// node. While it is there no node starts on the directory: a supervisor that
// starts the process again would have it serve until the next damaged block is
// read, and again.
const damageFile = "DAMAGED"

// remedy is what an operator can do about a damaged engine.
const remedy = "what is damaged is never served. Look for the cause (disk, memory) before the machine is used again. " +
	"In a cluster, have the other nodes build it again: `pontoon node remove NAME --force` at one of them, " +
	"move the data directory away, start this node with --join. A single node is restored from a backup. " +
	"docs/operations.md has the steps"

// DamagedError refuses to go on with a damaged data directory.
type DamagedError struct {
	Dir string
	Err error // names the file
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("data directory %s is damaged: %v; %s", e.Dir, e.Err, remedy)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// damage ends a node that comes upon a damaged block. Serving the rest would go
// well until a write needs what is gone; the other replicas have all of it.
type damage struct {
	node *Node
	once sync.Once
}

// found is told by the engine, with the read that failed still under way.
func (d *damage) found(err *storage.DamageError) {
	d.once.Do(func() {
		n := d.node
		if werr := holdBack(n.cfg.DataDir, err); werr != nil {
			n.cfg.Logger.Error("the next start will not know of the damage", "error", werr)
		}
		n.fail(&DamagedError{Dir: n.cfg.DataDir, Err: err})
	})
}

// holdBack keeps nodes from starting on the directory.
func holdBack(dir string, reason error) error {
	text := fmt.Sprintf("%v\n\nThis node stopped when it read that, and does not start again while this file is here.\n%s.\n"+
		"To start on the directory as it is nevertheless, delete this file.\n", reason, remedy)
	f, err := os.OpenFile(filepath.Join(dir, damageFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close(), membership.SyncDir(dir))
}

// heldBack refuses a directory that was found damaged.
func heldBack(dir string) error {
	path := filepath.Join(dir, damageFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	reason, _, _ := strings.Cut(string(b), "\n")
	return &DamagedError{Dir: dir, Err: fmt.Errorf("%s (found by an earlier run, which left %s)", reason, path)}
}

// openFailure adds to the refusal of a damaged engine what to do.
func openFailure(dir string, err error) error {
	if errors.Is(err, storage.ErrDamaged) {
		return &DamagedError{Dir: dir, Err: err}
	}
	return err
}
