package operator

import (
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// State of an operator. It is shown to people.
type State string

// States.
const (
	Waiting  State = "waiting"
	Running  State = "running"
	Done     State = "done"
	Failed   State = "failed"
	TimedOut State = "timeout"
	Canceled State = "canceled"
)

// Operator is a change of one range, or of two that are to be merged. The
// exported fields are set by who plans it and do not change.
type Operator struct {
	ID     uint64 // given by the Set
	Range  proto.RangeID
	Kind   Kind
	Reason string
	Steps  []Step

	state   State
	err     string
	at      int // step
	started time.Time
	ended   time.Time

	since    time.Time // of the step's last progress (I4)
	retryAt  time.Time
	refusals int

	splitKey []byte
	rightID  proto.RangeID
	data     data
}

// Do is what to do next.
type Do uint8

// What there is to do.
const (
	Wait   Do = iota // look again later
	Look             // look at the range that Current names now
	Send             // send Action.Op, then Answered
	NeedID           // allocate a range id, then Allocated
	End              // the operator ended: State, Err
)

// Action is the outcome of Next.
type Action struct {
	Do Do
	Op *pontoonpb.RangeOp
}

// How long to wait before trying again.
const (
	afterRefusal  = time.Second
	afterFailure  = 300 * time.Millisecond
	splitRefusals = 3 // a split or merge that is refused so often is given up
)

// State returns the state.
func (o *Operator) State() State { return o.state }

// Err returns what went wrong last.
func (o *Operator) Err() string { return o.err }

// Ended returns when the operator ended; zero: it has not.
func (o *Operator) Ended() time.Time { return o.ended }

// Current names the range that the current step is about.
func (o *Operator) Current() proto.RangeID {
	if o.at < len(o.Steps) {
		return o.Steps[o.at].Range
	}
	return o.Range
}

// Heir names the node that the current step makes lead, 0 if it makes none.
func (o *Operator) Heir() proto.NodeID {
	if o.at < len(o.Steps) && o.Steps[o.at].Kind == TransferLeader {
		return o.Steps[o.at].Node
	}
	return 0
}

// Ranges lists all ranges that the operator changes.
func (o *Operator) Ranges() []proto.RangeID {
	list := []proto.RangeID{o.Range}
	for _, s := range o.Steps {
		if !slices.Contains(list, s.Range) {
			list = append(list, s.Range)
		}
		if s.Right != 0 && !slices.Contains(list, s.Right) {
			list = append(list, s.Right)
		}
	}
	return list
}

// Next decides what to do, given the newest status of the range that Current
// names, from its leader if there is one; nil: nothing is known.
func (o *Operator) Next(seen *pontoonpb.RangeStatus, now time.Time) Action {
	if o.state == "" || o.state == Waiting {
		o.state, o.started, o.since = Running, now, now
	}
	if o.state != Running {
		return Action{Do: End}
	}
	for first := o.Current(); o.at < len(o.Steps); o.advance(now) {
		s := o.Steps[o.at]
		if s.Range != first {
			return Action{Do: Look}
		}
		if seen == nil || proto.RangeID(seen.Desc.GetRangeId()) != s.Range || seen.LeaderNode == 0 {
			return o.waitFor("no leader of the range is known", now)
		}
		o.note(s, seen, now)
		m := o.judge(s, seen)
		if !m.done {
			return o.act(m, now)
		}
	}
	o.end(Done, "", now)
	return Action{Do: End}
}

// act turns what the step wants into what is done now.
func (o *Operator) act(m move, now time.Time) Action {
	switch {
	case m.fail != "":
		o.end(Failed, m.fail, now)
		return Action{Do: End}
	case m.op == nil && !m.needID, now.Before(o.retryAt):
		return o.waitFor("", now)
	}
	if a := o.waitFor("", now); a.Do == End {
		return a
	}
	if m.needID {
		return Action{Do: NeedID}
	}
	return Action{Do: Send, Op: m.op}
}

// waitFor waits unless the step's time is up (I4).
func (o *Operator) waitFor(what string, now time.Time) Action {
	if now.Sub(o.since) < limits[o.Steps[o.at].Kind] {
		return Action{Do: Wait}
	}
	if what == "" {
		what = o.err
	}
	if what == "" {
		what = "no progress"
	}
	o.end(TimedOut, what, now)
	return Action{Do: End}
}

func (o *Operator) advance(now time.Time) {
	o.at++
	o.since, o.retryAt, o.refusals, o.err = now, time.Time{}, 0, ""
}

// Answered takes the answer to what Next wanted sent. The next look at the
// range decides whether the step is done, not the answer (I1).
func (o *Operator) Answered(reply *pontoonpb.RangeReply, err error, now time.Time) {
	if err == nil {
		err = proto.FromWire(reply.GetError())
	}
	switch {
	case o.state != Running:
	case err == nil:
		o.answeredPoint(reply.GetSplitPoint(), now)
	case proto.HasCode(err, pontoonpb.RangeErrorCode_REFUSED):
		o.err, o.retryAt = err.Error(), now.Add(afterRefusal)
		o.refusals++
		kind := o.Steps[o.at].Kind
		if (kind == SplitAt || kind == MergeRight) && o.refusals >= splitRefusals {
			o.end(Failed, o.err, now)
		}
	default:
		o.err, o.retryAt = err.Error(), now.Add(afterFailure)
	}
}

func (o *Operator) answeredPoint(point *pontoonpb.SplitPointReply, now time.Time) {
	if point == nil {
		return
	}
	if len(point.Key) == 0 {
		o.end(Failed, "no key halves the range", now)
		return
	}
	o.splitKey = point.Key
}

// Allocated gives the id of the right side of a split, or says why there is none.
func (o *Operator) Allocated(id proto.RangeID, err error, now time.Time) {
	if err != nil {
		o.err, o.retryAt = err.Error(), now.Add(afterFailure)
		return
	}
	o.rightID = id
}

// Cancel ends the operator where it is. What is half done is cleaned up by
// later operators.
func (o *Operator) Cancel(why string, now time.Time) {
	if o.ended.IsZero() {
		o.end(Canceled, why, now)
	}
}

// Fail ends the operator because of what its range does not tell.
func (o *Operator) Fail(why string, now time.Time) {
	if o.ended.IsZero() {
		o.end(Failed, why, now)
	}
}

func (o *Operator) end(state State, err string, now time.Time) {
	o.state, o.err, o.ended = state, err, now
	if o.started.IsZero() {
		o.started = now
	}
}
