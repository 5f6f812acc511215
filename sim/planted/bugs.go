package planted

// Bugs are all of them.
var Bugs = []Bug{
	{Name: "ack-before-sync", Rule: "I2 of rangeraft", File: "rangeraft/log_writer.go",
		Old: "sync := responses && w.unsynced",
		New: "sync := responses && w.unsynced && false"},
	{Name: "read-without-lease", Rule: "P11 P19 P20", File: "rangeraft/confirm.go",
		Old: "\tnow := r.s.opts.Now()\n" +
			"\tr.vouched(r.slumber.led)\n",
		New: "\tnow := r.s.opts.Now()\n" +
			"\tdone(nil)\n" +
			"\treturn\n" +
			"\tr.vouched(r.slumber.led)\n"},
	{Name: "sequencer-unconfirmed", Rule: "S1", File: "placement/sequencer/server.go",
		Old: "return leading && confirm != nil && confirm(ctx) == nil",
		New: "return leading && confirm != nil"},
	{Name: "closed-one-high", Rule: "P18", File: "rangeraft/evaluator/closed.go",
		Old: "c := e.seenNow()",
		New: "c := e.seenNow() + 1"},
	{Name: "watch-drops-second", Rule: "P17", File: "watchmux/merge/part.go",
		Old: "\tfor _, c := range ready {\n" +
			"\t\tp.pendingBytes -= c.size()\n" +
			"\t}\n" +
			"\treturn ready",
		New: "\tfor _, c := range ready {\n" +
			"\t\tp.pendingBytes -= c.size()\n" +
			"\t}\n" +
			"\tready = slices.DeleteFunc(ready, func(c *Change) bool { return c.Sub == 1 })\n" +
			"\treturn ready"},
	{Name: "split-loses-lock", Rule: "P35", File: "rangeraft/evaluator/split.go",
		Test: "rangeraft/evaluator.TestP35SplitCutsLocks",
		Old: "\t\t\tlockRecord(h.part(proto.Span{Start: h.span.Start, End: op.Key})),\n" +
			"\t\t\tlockRecord(h.part(proto.Span{Start: op.Key, End: h.span.End})))",
		New: "\t\t\tlockRecord(h.part(proto.Span{Start: h.span.Start, End: op.Key})))"},
	{Name: "snapshot-without-lease-index", Rule: "P47", File: "storage/export.go",
		Old: "\tfor _, t := range enginekey.Replicated {\n",
		New: "\tfor _, t := range enginekey.Replicated {\n" +
			"\t\tif t == enginekey.LeaseIdx {\n" +
			"\t\t\tcontinue\n" +
			"\t\t}\n"},
	{Name: "apply-twice-after-restart", Rule: "P12", File: "storage/batchapply.go",
		Old: "\tb.change(id).st.applied = *next\n" +
			"\treturn res, b.setRange(id, enginekey.Applied, appendApplied(nil, next))",
		New: "\tbehind := b.change(id).st.applied\n" +
			"\tbehind.LiveKeys = next.LiveKeys\n" +
			"\tb.change(id).st.applied = *next\n" +
			"\treturn res, b.setRange(id, enginekey.Applied, appendApplied(nil, &behind))"},
	// A freeze that does not wait for what is in flight is harmless: that comes
	// before it in the log.
	{Name: "merge-loses-write", Rule: "P46", File: "rangeraft/evaluator/evaluate.go",
		Test: "rangeraft/evaluator.TestFreeze_P46",
		Old:  "if e.Frozen() && r.op.GetMergeStep() == nil {",
		New:  "if false {"},
	{Name: "vote-after-restart", Rule: "P3", File: "rangeraft/replica.go",
		Test: "rangeraft.TestRestartedReplicaDoesNotVote_P3",
		Old:  "leaderlease.NewPromise(pace.timeout(), s.started, bound)",
		New:  "leaderlease.NewPromise(pace.timeout(), s.started, bound && false)"},
	// In the range alone it is harmless but for a read that a compaction overtakes:
	// the gateway refuses what is below the floor that came with its number.
	{Name: "compaction-off-by-one", Rule: "P41", File: "rangeraft/reads.go",
		Old: "rev >= v.floor {\n" +
			"\t\treturn nil",
		New: "rev+1 >= v.floor {\n" +
			"\t\treturn nil",
		Also: []Bug{{File: "router/range.go",
			Old: "case p.named < int64(at.Floor):",
			New: "case p.named+1 < int64(at.Floor):"}}},
	{Name: "lease-expires-on-change", Rule: "P39", File: "leasesvc/lessor/kernel.go",
		Old: "k.insert(r).refresh(now, cfg.Extend)",
		New: "k.insert(r).refresh(now, -time.Duration(r.TtlSeconds)*time.Second)"},
	{Name: "answer-from-overlay", Rule: "P11", File: "rangeraft/evaluator/batch.go",
		Test: "rangeraft/evaluator.TestP11NoNumberWaitsForWhatItSaw",
		Old:  "\t\tif n := len(e.inflight); n > 0 {",
		New:  "\t\tif n := len(e.inflight); n > 0 && false {"},
	// Apply alone that takes any batch is harmless as long as a batch that was not
	// proposed fails those behind it.
	{Name: "old-batch", Rule: "P12", File: "rangeraft/command.go",
		Test: "rangeraft.TestAccepts_P12",
		Old:  "return cmd.Predecessor == last && cmd.Batch > last",
		New: "_ = last\n" +
			"\treturn true",
		Also: []Bug{{File: "rangeraft/leader.go",
			Old: "\tif err != nil {\n" +
				"\t\tr.ev.Dropped(cmd.Batch)\n",
			New: "\tif err != nil {\n"}}},
	{Name: "lease-after-timeoutnow", Rule: "P2", File: "rangeraft/confirm.go",
		Old: "\tr.lease.Drop()\n" +
			"\tr.leaseUntil.Store(int64(leaderlease.Never))\n",
		New: ""},
	{Name: "commit-without-record", Rule: "P29", File: "rangeraft/evaluator/txn.go",
		Old: "\t\treturn nil, proto.Errorf(pontoonpb.RangeErrorCode_TXN_NOT_PENDING, \"txn has no pending record\")\n" +
			"\t}\n" +
			"\trev",
		New: "\t}\n" +
			"\trev"},
	{Name: "closed-from-applied", Rule: "P18", File: "rangeraft/apply.go",
		Old: "next.Closed = max(next.Closed, proto.Revision(cmd.Closed))",
		New: "next.Closed = max(next.Closed, proto.Revision(cmd.Closed))\n" +
			"\t\t\tfor _, ef := range cmd.Effects {\n" +
			"\t\t\t\tnext.Closed = max(next.Closed, proto.Revision(ef.Rev))\n" +
			"\t\t\t}"},
	{Name: "scan-meets-at-revision", Rule: "P24", File: "rangeraft/feed/subscription.go",
		Test: "rangeraft/feed.TestRandomInterleavings_P24_P22",
		Old:  "if it.checkpoint == nil && it.batch.index <= index {",
		New:  "if it.checkpoint == nil && (it.batch.index <= index || len(it.batch.events) > 0 && revisionOf(it.batch.events[0]) <= high) {"},
	{Name: "side-stream-without-lease", Rule: "P19", File: "rangeraft/closing.go",
		Test: "rangeraft.TestNoIdleClosingWithoutAQuorum_P5",
		Old: "\tif until <= time.Duration(c.s.opts.Now()) {\n" +
			"\t\treturn false\n" +
			"\t}\n",
		New: ""},
	{Name: "registration-after-revoke", Rule: "P37", File: "rangeraft/evaluator/registration.go",
		Old: "case found && !a.void:",
		New: "case found:"},
	{Name: "floor-not-held", Rule: "P30", File: "rangeraft/evaluator/closed.go",
		Old: "\tif f, ok := e.locks.lowestFloor(); ok {\n" +
			"\t\tc = min(c, f)\n" +
			"\t}\n",
		New: ""},
	{Name: "read-ignores-locks", Rule: "P20", File: "rangeraft/evaluator/gate.go",
		Old: "w.locks = append(w.locks, h)",
		New: "_ = w.locks"},
	{Name: "limit-as-maximum", Rule: "P6", File: "placement/sequencer/limit.go",
		Old: "\tk.limit = limit\n",
		New: "\tk.limit = max(k.limit, limit)\n"},
	{Name: "sequencer-starts-at-limit", Rule: "P10", File: "placement/sequencer/kernel.go",
		Old: "next: limit + 1, epochs",
		New: "next: max(limit-3, 1), epochs"},
}
