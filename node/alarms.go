package node

import (
	"github.com/pontoon-kv/pontoon/node/alarm"
	"github.com/pontoon-kv/pontoon/node/integrity"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// openAlarms builds what refuses writes while an alarm is raised, and what
// raises NOSPACE.
func (n *Node) openAlarms() {
	n.alarms = alarm.NewBoard(n.sender, authEpochs{n.numbers}, n.cfg.Logger)
	n.quota = alarm.NewQuota(alarm.QuotaOptions{
		Store: quotaStore{n.engine}, Bytes: n.cfg.QuotaBackendBytes, Board: n.alarms, Node: n.members.Self, Logger: n.cfg.Logger,
	})
	n.onClose(n.quota.Close)
	n.gate = alarm.NewGate(alarm.GateOptions{
		Board: n.alarms, Room: n.quota, Node: n.members.Self, MaxTxnOps: int(n.cfg.MaxTxnOps),
	})
}

// led returns the ranges that are led here.
func (n *Node) led() []*pontoonpb.RangeStatus { return n.store.Report(0).Led }

// openChecker builds what compares the replicas of the ranges led here.
func (n *Node) openChecker() {
	n.checker = integrity.NewChecker(integrity.Options{
		Interval: n.cfg.CorruptCheckTime, Led: n.led, Calls: n.store, Alarms: n.alarms, Logger: n.cfg.Logger,
	})
	n.onClose(n.checker.Close)
}
