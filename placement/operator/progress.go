package operator

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// data is how far the data of a new replica got.
type data struct {
	since time.Time
	bytes int64
	total int64
	match uint64
	share float64 // of the step
}

// note remembers progress of the data, which also keeps the step from timing
// out (I4).
func (o *Operator) note(s Step, seen *pontoonpb.RangeStatus, now time.Time) {
	if s.Kind != WaitCaughtUp {
		return
	}
	if o.data.since.IsZero() {
		o.data.since = now
	}
	p := progressOf(seen, s.Node)
	if p == nil {
		return
	}
	if p.SnapshotBytes != o.data.bytes || p.Match > o.data.match {
		o.since = now
	}
	if p.SnapshotTotal > 0 {
		o.data.total, o.data.bytes = p.SnapshotTotal, max(o.data.bytes, p.SnapshotBytes)
	}
	o.data.match = max(o.data.match, p.Match)
	switch {
	case p.Snapshot && p.SnapshotTotal > 0:
		o.data.share = min(1, float64(p.SnapshotBytes)/float64(p.SnapshotTotal))
	case !p.Snapshot && seen.LastIndex > 0:
		o.data.share = min(1, float64(p.Match)/float64(seen.LastIndex))
	}
}

// progress returns the share that is done, 0 to 1.
func (o *Operator) progress() float64 {
	if o.state == Done {
		return 1
	}
	var done, all float64
	for i, s := range o.Steps {
		w := weights[s.Kind]
		all += w
		switch {
		case i < o.at:
			done += w
		case i == o.at && s.Kind == WaitCaughtUp:
			done += w * o.data.share
		}
	}
	if all == 0 {
		return 0
	}
	return done / all
}

// eta returns how many seconds the data takes still; -1: not known.
func (o *Operator) eta(now time.Time) float64 {
	spent := now.Sub(o.data.since).Seconds()
	if o.state != Running || o.at >= len(o.Steps) || o.Steps[o.at].Kind != WaitCaughtUp || o.data.share <= 0 || spent <= 0 {
		return -1
	}
	return spent * (1 - o.data.share) / o.data.share
}

// Status describes the operator.
func (o *Operator) Status(name func(proto.NodeID) string, now time.Time) *pontoonpb.OperatorStatus {
	st := &pontoonpb.OperatorStatus{
		Id: o.ID, RangeId: uint64(o.Range), Kind: string(o.Kind), Reason: o.Reason, State: string(o.state), Error: o.err,
		Progress: o.progress(), BytesDone: o.data.bytes, BytesTotal: o.data.total, EtaSeconds: o.eta(now),
		StartedUnixMillis: millis(o.started), EndedUnixMillis: millis(o.ended),
	}
	if o.state == "" {
		st.State = string(Waiting)
	}
	for i, s := range o.Steps {
		st.Steps = append(st.Steps, &pontoonpb.OperatorStep{Text: s.Text(name), Done: i < o.at})
	}
	return st
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
