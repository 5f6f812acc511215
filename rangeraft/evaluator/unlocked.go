package evaluator

// Unlocked reports whether no lock holds the closed revision back (P30). Only
// then may the range enter the side stream, whose number rises on its own.
func (e *Evaluator) Unlocked() bool {
	_, held := e.locks.lowestFloor()
	return !held
}
