package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate supplies the own meta. Nothing else travels with gossip.
type delegate Gossip

func (d *delegate) NodeMeta(limit int) []byte {
	b, err := d.opts.Meta().encode(limit)
	if err != nil || len(b) > limit {
		d.opts.Logger.Error("own meta does not fit into gossip", "bytes", len(b), "err", err)
		return nil
	}
	return b
}

func (d *delegate) NotifyMsg([]byte)                {}
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// events keeps the members as memberlist tells of them, under its lock.
type events Gossip

func (e *events) NotifyJoin(n *memberlist.Node) { e.tell(n, Live) }

func (e *events) NotifyUpdate(n *memberlist.Node) { e.tell(n, Live) }

func (e *events) NotifyLeave(n *memberlist.Node) { e.tell(n, Dead) }

func (e *events) tell(n *memberlist.Node, state State) {
	m, ok := memberOf(n, state)
	if !ok {
		return
	}
	e.mu.Lock()
	before := e.members[m.Node].State
	e.members[m.Node] = m
	e.mu.Unlock()
	if m.Node == e.opts.Node {
		return
	}
	if before != state {
		e.opts.Logger.Info("node is "+string(state), "node", uint64(m.Node), "name", m.Meta.Name)
	}
	e.opts.OnChange(m)
}

// pings passes on how long probes took.
type pings Gossip

func (p *pings) AckPayload() []byte { return nil }

func (p *pings) NotifyPingComplete(other *memberlist.Node, rtt time.Duration, _ []byte) {
	if m, ok := memberOf(other, Live); ok {
		p.opts.OnPing(m.Node, rtt)
	}
}

// logWriter turns memberlist's lines into slog records. Its warnings are about
// the network, not about this node, so they are quiet.
type logWriter struct{ logger *slog.Logger }

func (w *logWriter) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("[ERR]")) {
		level = slog.LevelInfo
	}
	w.logger.Log(context.Background(), level, "gossip", "line", string(bytes.TrimSpace(line)))
	return len(line), nil
}
