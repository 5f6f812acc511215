package vitals

import "fmt"

// Vitals are what must not suffer whatever is asked.
type Vitals struct {
	LeaseHeld     bool  `json:"lease_held"`     // and its key is there
	LeaderChanges int   `json:"leader_changes"` // ranges with another leader at the end
	TermChanges   int   `json:"term_changes"`   // of the root range, or of etcd's group
	ResidentMax   int64 `json:"resident_max"`   // bytes, of the largest node
}

func (v Vitals) String() string {
	held := "held"
	if !v.LeaseHeld {
		held = "LOST"
	}
	return fmt.Sprintf("lease %s, %d leaders changed, %d terms, largest node %d MiB", held, v.LeaderChanges, v.TermChanges, v.ResidentMax>>20)
}
