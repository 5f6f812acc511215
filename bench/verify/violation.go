package verify

import "fmt"

// Violation is one broken promise of the cluster.
type Violation struct {
	Check  string `json:"check"`
	Detail string `json:"detail"`
}

func (v Violation) String() string { return v.Check + ": " + v.Detail }

// findings collects violations of one check and stops growing at a limit: a
// broken cluster breaks the same promise thousands of times.
type findings struct {
	check string
	list  []Violation
	more  int
}

const maxFindings = 20

func (f *findings) addf(format string, args ...any) {
	if len(f.list) >= maxFindings {
		f.more++
		return
	}
	f.list = append(f.list, Violation{Check: f.check, Detail: fmt.Sprintf(format, args...)})
}

func (f *findings) done() []Violation {
	if f.more > 0 {
		f.list = append(f.list, Violation{Check: f.check, Detail: fmt.Sprintf("and %d more", f.more)})
	}
	return f.list
}
