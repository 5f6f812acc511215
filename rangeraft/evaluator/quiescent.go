package evaluator

// Quiescent reports whether nothing is asked for, in flight, locked or waiting:
// until the next request nothing will be (P48).
func (e *Evaluator) Quiescent() bool {
	return e.failed == nil && !e.held && !e.Frozen() && !e.leaving() &&
		e.ask == nil && e.pending == nil && e.truncate == nil &&
		len(e.inflight)+len(e.requests)+len(e.queue)+len(e.onSeen)+len(e.onBatch)+len(e.reads)+len(e.actions) == 0 &&
		len(e.locks.sortedTxns()) == 0
}
