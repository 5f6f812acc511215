package evaluator

// Hold stops evaluating, or goes on. A leader that hands over holds first, so
// that no number is asked for that it could not use any more (P10), and no
// entry is left whose fate its client cannot know.
func (e *Evaluator) Hold(on bool) { e.held = on }

// Idle reports whether nothing is under way: no ask is open, no batch waits for
// its numbers or its apply.
func (e *Evaluator) Idle() bool { return e.ask == nil && e.pending == nil && len(e.inflight) == 0 }
