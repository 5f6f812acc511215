package operator

// Kind is what an operator is for. It is shown to people.
type Kind string

// Kinds.
const (
	ReplaceDead    Kind = "replace-dead"
	ReplaceRemoved Kind = "replace-removed"
	AddReplica     Kind = "add-replica"
	RemoveReplica  Kind = "remove-replica"
	FinishMove     Kind = "finish-move"
	CleanLearner   Kind = "clean-learner"
	DrainLeader    Kind = "drain-leader"
	Drain          Kind = "drain"
	Spread         Kind = "spread"
	Move           Kind = "move"
	SplitSize      Kind = "split-size"
	SplitLoad      Kind = "split-load"
	MergeCold      Kind = "merge"
	MergeManual    Kind = "merge-manual"
	BalanceLeader  Kind = "balance-leader"
	BalanceSize    Kind = "balance-size"
	BalanceLoad    Kind = "balance-load"
)

// Class groups kinds that rest together after a failure (I5).
type Class uint8

// Classes.
const (
	Repair Class = iota
	Manual
	Split
	Merge
	Balance
	Settle // no kind's: the load of a range whose leader moved is not right yet
	classes
)

// Priority orders operators of one round; the lower goes first.
type Priority uint8

var kinds = map[Kind]struct {
	class    Class
	priority Priority
}{
	ReplaceRemoved: {Repair, 1}, ReplaceDead: {Repair, 1}, AddReplica: {Repair, 2}, FinishMove: {Repair, 2},
	Move: {Manual, 2}, MergeManual: {Manual, 2},
	DrainLeader: {Repair, 3}, Drain: {Repair, 4}, RemoveReplica: {Repair, 5}, CleanLearner: {Repair, 5},
	SplitSize: {Split, 6}, SplitLoad: {Split, 6}, Spread: {Balance, 7}, MergeCold: {Merge, 8},
	BalanceLeader: {Balance, 9}, BalanceLoad: {Balance, 9}, BalanceSize: {Balance, 9},
}

// Class returns the class of a kind.
func (k Kind) Class() Class { return kinds[k].class }

// Priority returns the rank of a kind.
func (k Kind) Priority() Priority { return kinds[k].priority }

// Kinds returns every kind there is, for metrics.
func Kinds() []Kind {
	list := make([]Kind, 0, len(kinds))
	for k := range kinds {
		list = append(list, k)
	}
	return list
}
