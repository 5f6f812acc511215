package driver

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// worker carries out one operator.
type worker struct {
	*Driver
	reign *reign
	o     *operator.Operator
}

// run steps the operator until it ended or ctx does.
func (w *worker) run(ctx context.Context) {
	started := time.Now()
	for ctx.Err() == nil {
		seen := w.look(ctx, w.current())
		if ctx.Err() != nil {
			return
		}
		switch a := w.next(seen); a.Do {
		case operator.End:
			w.mu.Lock()
			w.retireLocked(w.reign, w.o, started)
			w.mu.Unlock()
			return
		case operator.Wait:
			sleep(ctx, w.opts.StepInterval)
		case operator.Send:
			w.send(ctx, a.Op)
		case operator.NeedID:
			w.allocate(ctx)
		case operator.Look:
		}
	}
}

func (w *worker) current() proto.RangeID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.o.Current()
}

func (w *worker) next(seen *pontoonpb.RangeStatus) operator.Action {
	w.mu.Lock()
	defer w.mu.Unlock()
	if heir := w.o.Heir(); heir != 0 && w.opts.Liveness.Stopping(heir) {
		w.o.Fail("the node that should lead is stopping", time.Now())
	}
	return w.o.Next(seen, time.Now())
}

func (w *worker) send(ctx context.Context, op *pontoonpb.RangeOp) {
	timeout := w.opts.Timeout
	if op.GetMerge() != nil {
		timeout *= mergeTimes
	}
	sctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := w.opts.Sender.Send(sctx, op)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.o.Answered(reply, err, time.Now())
}

func (w *worker) allocate(ctx context.Context) {
	actx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	id, err := w.opts.Ranges.AllocRangeID(actx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.o.Allocated(id, err, time.Now())
}

// look asks the leader of a range for its status, following hints. Nil: no
// leader answers.
func (w *worker) look(ctx context.Context, id proto.RangeID) *pontoonpb.RangeStatus {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	w.mu.Lock()
	known := w.reign.figures.of(id)
	w.mu.Unlock()
	if known == nil {
		return nil
	}
	ask := []uint64{known.LeaderNode}
	for _, r := range known.Desc.Replicas {
		ask = append(ask, r.NodeId)
	}
	asked := map[uint64]bool{0: true}
	for len(ask) > 0 {
		node := ask[0]
		ask = ask[1:]
		if asked[node] || !w.opts.Liveness.Live(proto.NodeID(node)) {
			continue
		}
		asked[node] = true
		st := w.status(ctx, proto.NodeID(node), known.Desc)
		switch {
		case st == nil:
		case st.LeaderNode == node:
			w.mu.Lock()
			fresh := w.reign.figures.note(st, time.Now())
			w.mu.Unlock()
			if fresh {
				return st
			}
		default:
			ask = append([]uint64{st.LeaderNode}, ask...)
		}
	}
	return nil
}

// status asks one node.
func (w *worker) status(ctx context.Context, node proto.NodeID, d *pontoonpb.Descriptor) *pontoonpb.RangeStatus {
	reply, err := w.opts.Transport.Call(ctx, node, &pontoonpb.RangeOp{
		RangeId: d.RangeId, Span: proto.Span{Start: d.Span.GetStart(), End: d.Span.GetStart()}.Wire(),
		Op: &pontoonpb.RangeOp_Status{Status: &pontoonpb.StatusOp{}},
	})
	if err != nil || reply.GetStatus().GetDesc().GetRangeId() != d.RangeId {
		return nil
	}
	return reply.GetStatus()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
