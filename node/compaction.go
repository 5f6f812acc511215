package node

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/autocompact"
	"github.com/pontoon-kv/pontoon/proto"
)

// openCompaction builds what compacts the history by itself.
func (n *Node) openCompaction() error {
	plan, err := autocompact.New(n.cfg.AutoCompactionMode, n.cfg.AutoCompactionRetention)
	if err != nil {
		return err
	}
	n.auto = autocompact.NewDriver(autocompact.Options{
		Plan: plan, Compactor: n.gate.KV(n.kv), Newest: n.numbers.Seen, Logger: n.cfg.Logger,
		Leading: func() bool { return n.store.Leader(proto.RootRange) == n.members.Self },
	})
	n.onClose(n.auto.Close)
	return nil
}

// leaseCheckpoint is etcd's interval of writing remaining TTLs down.
const leaseCheckpoint = 5 * time.Minute

func (n *Node) checkpointInterval() time.Duration {
	if n.cfg.LeaseCheckpoint {
		return leaseCheckpoint
	}
	return 0
}
